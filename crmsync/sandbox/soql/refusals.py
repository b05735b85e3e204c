"""How the org refuses SOQL: an error code, and a text that points at the place."""

from __future__ import annotations

_AROUND = 60


class SoqlError(Exception):
    """Wrong SOQL; `code` is the REST error code (MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE, …)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse_at(code: str, soql: str, at: int, message: str) -> SoqlError:
    """The refusal of what stands at offset `at`, with the text around it, row and column."""
    row = soql.count("\n", 0, at) + 1
    start_of_row = soql.rfind("\n", 0, at) + 1
    end_of_row = soql.find("\n", at)
    line = soql[start_of_row : end_of_row if end_of_row >= 0 else len(soql)]
    column = at - start_of_row
    first = max(0, column - _AROUND)
    shown = line[first : column + _AROUND]
    pointer = " " * (column - first) + "^"
    return SoqlError(code, f"\n{shown}\n{pointer}\nERROR at Row:{row}:Column:{column + 1}\n{message}")


def malformed(soql: str, at: int, message: str) -> SoqlError:
    """A MALFORMED_QUERY at offset `at`."""
    return refuse_at("MALFORMED_QUERY", soql, at, message)


def no_column(soql: str, at: int, name: str, entity: str) -> SoqlError:
    """The refusal of a field that the object does not have, or that the user may not see."""
    return refuse_at(
        "INVALID_FIELD", soql, at,
        f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append "
        "the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate "
        "names.",
    )  # fmt: skip


def no_type(soql: str, at: int, name: str) -> SoqlError:
    """The refusal of an object that the org does not have."""
    return refuse_at(
        "INVALID_TYPE", soql, at,
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the "
        "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
    )  # fmt: skip


def no_relationship(soql: str, at: int, name: str) -> SoqlError:
    """The refusal of a parent path that is none."""
    return refuse_at(
        "INVALID_FIELD", soql, at,
        f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, "
        "be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe "
        "call for the appropriate names.",
    )  # fmt: skip
