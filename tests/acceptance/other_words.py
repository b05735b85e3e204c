"""An org of another company: German names, partners behind a junction object with shares, two currencies."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from tests.sandbox.orgs import csv_text, write_files

TODAY = date(2026, 7, 1)
SCHEMA = """\
objects:
  Account:
    fields:
      Nummer__c: {label: Nummer, type: Text, length: 20, externalId: true, unique: true}
      Ist_Vertriebspartner__c: {label: Ist Vertriebspartner, type: Checkbox, defaultValue: false}
      Gebiet__c: {label: Gebiet, type: Picklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Nord}, {fullName: Sued}, {fullName: Amerika}]}}}
      Partnerstatus__c: {label: Partnerstatus, type: Picklist,
        valueSet: {restricted: true, valueSetDefinition: {value: [
          {fullName: Aktiv}, {fullName: Ruhend}, {fullName: Gekündigt}]}}}
      Geschaeftsmodell__c: {label: Geschäftsmodell, type: MultiselectPicklist, visibleLines: 3,
        valueSet: {restricted: true, valueSetDefinition: {value: [{fullName: Handel}, {fullName: Dienstleistung}]}}}
      Partner_seit__c: {label: Partner seit, type: Date}
      Zufriedenheit__c: {label: Zufriedenheit, type: Number, precision: 3, scale: 1}
  Contact:
    fields:
      Nummer__c: {label: Nummer, type: Text, length: 20, externalId: true, unique: true}
  Opportunity:
    fields:
      Nummer__c: {label: Nummer, type: Text, length: 20, externalId: true, unique: true}
      Produktlinie__c: {label: Produktlinie, type: Picklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Netz}, {fullName: Sicherheit}]}}}
  Deal_Beteiligung__c:
    label: Deal-Beteiligung
    nameField: {type: AutoNumber, label: Nummer, displayFormat: "DB-{00000}"}
    fields:
      Deal__c: {label: Deal, type: Lookup, referenceTo: Opportunity, relationshipName: Beteiligungen}
      Firma__c: {label: Firma, type: Lookup, referenceTo: Account, relationshipName: Beteiligungen}
      Rolle__c: {label: Rolle, type: Picklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Fachhandel}, {fullName: Distribution}]}}}
      Anteil__c: {label: Anteil, type: Percent, precision: 5, scale: 2}
  Kurs__c:
    label: Kurs
    fields:
      Kuerzel__c: {label: Kürzel, type: Text, length: 20, externalId: true, unique: true}
      Stufe__c: {label: Stufe, type: Text, length: 40}
  Zertifikat__c:
    label: Zertifikat
    nameField: {type: AutoNumber, label: Nummer, displayFormat: "Z-{00000}"}
    fields:
      Firma__c: {label: Firma, type: Lookup, referenceTo: Account, relationshipName: Zertifikate}
      Inhaber__c: {label: Inhaber, type: Lookup, referenceTo: Contact, relationshipName: Zertifikate}
      Kurs__c: {label: Kurs, type: Lookup, referenceTo: Kurs__c, relationshipName: Zertifikate}
      Ausgestellt_am__c: {label: Ausgestellt am, type: Date}
      Gueltig_bis__c: {label: Gültig bis, type: Date}
"""
PARTNERS, CUSTOMERS, DEALS = 12, 8, 60
AREAS, STATES = ("Nord", "Sued", "Amerika"), ("Aktiv", "Aktiv", "Aktiv", "Ruhend")


def write_org(folder: Path) -> Path:
    """The data folder of that org, for `crmsync sandbox salesforce --data`."""
    return write_files(
        folder,
        {
            "schema.yaml": SCHEMA,
            "Account.csv": _accounts(),
            "Contact.csv": csv_text([("Nummer__c", "LastName", "Account.Nummer__c"), *_people()]),
            "Opportunity.csv": _deals(),
            "Deal_Beteiligung__c.csv": _shares(),
            "Kurs__c.csv": csv_text([("Kuerzel__c", "Name", "Stufe__c"), ("NET1", "Netz 1", "Basis"),
                                     ("SEC2", "Sicherheit 2", "Experte")]),
            "Zertifikat__c.csv": _certificates(),
            "CurrencyType.csv": csv_text([
                ("IsoCode", "ConversionRate", "DecimalPlaces", "IsActive", "IsCorporate"),
                ("EUR", "1", "2", "true", "true"), ("USD", "1.1", "2", "true", "false"),
            ]),
            "DatedConversionRate.csv": csv_text([
                ("IsoCode", "StartDate", "ConversionRate"), ("EUR", "2020-01-01", "1"), ("USD", "2020-01-01", "1.25"),
                ("USD", "2026-01-01", "1.1"),
            ]),
        },
    )  # fmt: skip


def _accounts() -> str:
    heading = (
        "Nummer__c", "Name", "Type", "Ist_Vertriebspartner__c", "Gebiet__c", "Partnerstatus__c", "Geschaeftsmodell__c",
        "Partner_seit__c", "BillingCountry", "Zufriedenheit__c", "CurrencyIsoCode",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = [heading]
    for number in range(PARTNERS):
        rows.append((
            f"P{number}", f"Systemhaus {number} GmbH", "Other", "true", AREAS[number % 3], STATES[number % 4], "Handel",
            f"20{10 + number}-03-01", "Germany", "4.5" if number % 2 else "", "USD" if number % 3 == 2 else "EUR",
        ))  # fmt: skip
    for number in range(CUSTOMERS):
        rows.append((f"K{number}", f"Kunde {number} AG", "Customer", "false", "Nord", "", "", "", "Germany", "", "EUR"))
    return csv_text(rows)


def _people() -> list[tuple[str, str, str]]:
    return [(f"C{number}-{one}", f"Muster {number}{one}", f"P{number}") for number in range(PARTNERS) for one in "ab"]


def _deals() -> str:
    heading = ("Nummer__c", "Name", "Account.Nummer__c", "StageName", "CloseDate", "Amount", "Produktlinie__c",
               "CurrencyIsoCode")  # fmt: skip
    rows: list[tuple[object, ...]] = [heading]
    for number in range(DEALS):
        day = TODAY - timedelta(days=3 + 5 * number)
        stage = ("Closed Won", "Closed Won", "Closed Lost", "Prospecting")[number % 4]
        amount = 9_000 + 4_000 * (number % 17)
        rows.append((
            f"D{number}", f"Projekt {number}", f"K{number % CUSTOMERS}", stage, day.isoformat(), amount,
            "Netz" if number % 2 else "Sicherheit", "USD" if number % 5 == 0 else "EUR",
        ))  # fmt: skip
    return csv_text(rows)


def _shares() -> str:
    """Every deal has a dealer; every fourth one has a distributor beside it."""
    rows: list[tuple[object, ...]] = [("Deal__r.Nummer__c", "Firma__r.Nummer__c", "Rolle__c", "Anteil__c")]
    for number in range(DEALS):
        split = number % 4 == 0
        rows.append((f"D{number}", f"P{number % PARTNERS}", "Fachhandel", 60 if split else 100))
        if split:
            rows.append((f"D{number}", f"P{(number + 5) % PARTNERS}", "Distribution", 40))
    return csv_text(rows)


def _certificates() -> str:
    heading = (
        "Firma__r.Nummer__c",
        "Inhaber__r.Nummer__c",
        "Kurs__r.Kuerzel__c",
        "Ausgestellt_am__c",
        "Gueltig_bis__c",
    )
    rows: list[tuple[object, ...]] = [heading]
    for number, (person, _, partner) in enumerate(_people()):
        if number % 3:
            issued = TODAY - timedelta(days=40 * (number % 9) + 10)
            rows.append((partner, person, ("NET1", "SEC2")[number % 2], issued, issued + timedelta(days=730)))
    return csv_text(rows)
