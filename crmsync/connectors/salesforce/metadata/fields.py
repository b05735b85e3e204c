"""Custom fields: from a shape to the definition of a new one, and whether a present one can hold what is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crmsync.connectors.base_needs import Said, Shape
from crmsync.connectors.salesforce.metadata.components import Body, described, plural_of, words_of

ACTIVITY = "Activity"
"""Tasks and events in one: their custom fields are made here, and no other way."""
TEXT_MAX = 255
LONG_LINES, CHOICES_LINES = 5, 4
LONG_MIN = 256
DIGITS_MAX = 18
NUMBERS = ("Number", "Percent", "Currency")
TEXTS = ("Text", "TextArea", "LongTextArea")
LENGTHS: Mapping[str, int] = {"TextArea": 255, "Picklist": 255}

HOLDS: Mapping[Shape, tuple[str, ...]] = {
    Shape.TEXT: (*TEXTS, "Picklist"),
    Shape.LONG_TEXT: ("LongTextArea",),
    Shape.KEY: ("Text",),
    Shape.CHOICE: ("Picklist", *TEXTS),
    Shape.CHOICES: ("MultiselectPicklist", *TEXTS),
    Shape.NUMBER: NUMBERS,
    Shape.PERCENT: NUMBERS,
    Shape.MONEY: ("Currency", "Number"),
    Shape.DATE: ("Date",),
    Shape.YES_NO: ("Checkbox",),
    Shape.PARTNER: ("MasterDetail", "Lookup"),
    Shape.ACCOUNT: ("Lookup", "MasterDetail"),
    Shape.USER: ("Lookup",),
}
"""Shape -> types of a present field that can hold it, the type of a new one first (KEY, NUMBER, … by `_TYPES`)."""

_TYPES: Mapping[Shape, str] = {
    Shape.TEXT: "Text", Shape.LONG_TEXT: "LongTextArea", Shape.KEY: "Text", Shape.CHOICE: "Picklist",
    Shape.CHOICES: "MultiselectPicklist", Shape.NUMBER: "Number", Shape.PERCENT: "Percent", Shape.MONEY: "Currency",
    Shape.DATE: "Date", Shape.YES_NO: "Checkbox", Shape.PARTNER: "MasterDetail", Shape.ACCOUNT: "Lookup",
    Shape.USER: "Lookup",
}  # fmt: skip


@dataclass(frozen=True)
class FieldNeed:
    """A field that the field map names. `line`: where; `written`: by a run, so that it must hold what comes;
    `target`: the object that it points at, of a field that points; `decided`: sales operations edit it, too."""

    object: str
    name: str
    said: Said
    line: int
    written: bool = True
    target: str = ""
    decided: bool = False

    @property
    def records(self) -> str:
        """The object whose records hold it: a field of activities is made once, and tasks have it."""
        return "Task" if self.object.lower() == ACTIVITY.lower() else self.object

    @property
    def full_name(self) -> str:
        """`Account.Partner_Tier__c`"""
        return f"{self.object}.{self.name}"


def field_body(need: FieldNeed) -> Body:
    """The definition of a new field."""
    said = need.said
    common = {
        "fullName": need.name,
        "description": described(said.help),
        "inlineHelpText": said.help,
        "label": words_of(need.name),
        "type": _type_of(said),
    }
    return common | _particulars(need)


def _type_of(said: Said) -> str:
    """The type of a new field. Choices that come with the data are text: a picklist is made with its values."""
    return "Text" if said.shape is Shape.CHOICES and not said.choices else _TYPES[said.shape]


def _particulars(need: FieldNeed) -> dict[str, Any]:
    said = need.said
    match said.shape:
        case Shape.TEXT:
            return _plain() | {"length": min(said.length, TEXT_MAX)}
        case Shape.KEY:
            unique = {"caseSensitive": True, "externalId": True, "unique": True, "required": False}
            return unique | {"length": min(said.length, TEXT_MAX)}
        case Shape.LONG_TEXT:
            return {"length": max(said.length, LONG_MIN), "visibleLines": LONG_LINES}
        case Shape.CHOICE:
            return {"externalId": False, "required": False, "valueSet": _value_set(said)}
        case Shape.CHOICES if not said.choices:
            return _plain() | {"length": TEXT_MAX}
        case Shape.CHOICES:
            return {"required": False, "valueSet": _value_set(said), "visibleLines": CHOICES_LINES}
        case Shape.NUMBER | Shape.PERCENT | Shape.MONEY:
            own = {"precision": said.whole + said.decimals, "scale": said.decimals, "required": False}
            return own if said.shape is Shape.MONEY else own | {"externalId": False}
        case Shape.DATE:
            return {"required": False}
        case Shape.YES_NO:
            return {"defaultValue": "false"}
    return _pointing(need)


def _plain() -> dict[str, Any]:
    return {"externalId": False, "required": False, "unique": False}


def _pointing(need: FieldNeed) -> dict[str, Any]:
    label = plural_of(words_of(need.object))
    back = {
        "referenceTo": need.target,
        "relationshipLabel": label,
        "relationshipName": _back_name(need, label),
    }
    if need.said.shape is Shape.PARTNER:
        return back | {"relationshipOrder": 0, "reparentableMasterDetail": False, "writeRequiresMasterRead": True}
    return back | {"deleteConstraint": "SetNull", "required": False}


def _back_name(need: FieldNeed, label: str) -> str:
    """How the target calls these records; of a user, who may be pointed at twice, with the field's own name."""
    plural = label.replace(" ", "_")
    name = f"{words_of(need.name).replace(' ', '_')}_{plural}" if need.said.shape is Shape.USER else plural
    return name[:40].rstrip("_")


def _value_set(said: Said) -> dict[str, Any]:
    values = [{"fullName": one.value, "default": False, "label": one.label} for one in said.choices]
    return {"restricted": said.restricted, "valueSetDefinition": {"sorted": False, "value": values}}


# --- what is there


@dataclass(frozen=True)
class Compared:
    """What a present field lacks. `widened`: its definition with what it lacks added (None: nothing to add);
    `added`: what that is, in words; `cannot`: why it cannot hold what is written; `drift`, `told`: worth knowing."""

    widened: Body | None = None
    added: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def compare_field(need: FieldNeed, present: Body, ours: bool) -> Compared:
    """What to do about a field that exists already."""
    drift = tuple(_edited(need, present)) if ours else ()
    if not need.written:
        return Compared(drift=drift)
    kind = str(present.get("type") or "")
    if present.get("formula") or kind == "Summary" or kind not in HOLDS[need.said.shape]:
        return Compared(cannot=(_wrong_type(need, present, kind),), drift=drift)
    told = () if kind == _type_of(need.said) else (f"is {kind}, which can hold it; left as it is",)
    found = _Comparison(need, present, kind)
    widened = found.widened()
    return Compared(widened, tuple(found.added), tuple(found.cannot), (*drift, *found.drift), (*told, *found.told))


def _edited(need: FieldNeed, present: Body) -> Iterator[str]:
    text = present.get("inlineHelpText") or ""
    if text != need.said.help:
        yield f"its help text was edited: `{text}`"


def _wrong_type(need: FieldNeed, present: Body, kind: str) -> str:
    what = f"a formula ({kind})" if present.get("formula") else kind or "of an unknown type"
    return (
        f"is {what} and cannot hold {need.said.shape.value}; name another field at line {need.line} of the field map, "
        f"or change its type in Setup to {_TYPES[need.said.shape]}"
    )


class _Comparison:
    """One comparison; collects what is added, what cannot be, and what is only told."""

    def __init__(self, need: FieldNeed, present: Body, kind: str) -> None:
        self.said = need.said
        self.present = present
        self.kind = kind
        self.added: list[str] = []
        self.cannot: list[str] = []
        self.drift: list[str] = []
        self.told: list[str] = []

    def widened(self) -> Body | None:
        """The definition with what it lacks, or None."""
        changes = {**self._length(), **self._digits(), **self._values(), **self._key()}
        return {**self.present, **changes} if changes else None

    def _length(self) -> dict[str, Any]:
        if self.kind not in (*TEXTS, "Picklist") or self.said.shape in (Shape.DATE, Shape.YES_NO):
            return {}
        length = int(self.present.get("length") or LENGTHS.get(self.kind, 0))
        if length >= self.said.least:
            return {}
        most = TEXT_MAX if self.kind in ("Text", *LENGTHS) else 131_072
        if self.kind in LENGTHS or self.said.least > most:
            self.cannot.append(
                f"holds {length} characters, {self.said.least} are written, and {self.kind} takes {most}"
            )
            return {}
        self.added.append(f"length {length} -> {self.said.least}")
        return {"length": self.said.least}

    def _digits(self) -> dict[str, Any]:
        if self.kind not in NUMBERS:
            return {}
        precision, scale = int(self.present.get("precision") or DIGITS_MAX), int(self.present.get("scale") or 0)
        whole, decimals = max(self.said.whole, precision - scale), max(self.said.decimals, scale)
        if (whole + decimals, decimals) == (precision, scale):
            return {}
        if whole + decimals > DIGITS_MAX:
            self.cannot.append(
                f"has {precision - scale} digits before and {scale} behind the point, {self.said.whole} and "
                f"{self.said.decimals} are written, and a number has {DIGITS_MAX} in all"
            )
            return {}
        self.added.append(f"digits {precision - scale}.{scale} -> {whole}.{decimals}")
        return {"precision": whole + decimals, "scale": decimals}

    def _key(self) -> dict[str, Any]:
        if self.said.shape is not Shape.KEY:
            return {}
        if not (self.present.get("externalId") and self.present.get("unique")):
            self.cannot.append("is no unique external id; tick both in Setup, or name another field in the field map")
        elif not self.present.get("caseSensitive"):
            self.cannot.append("treats ABC and abc as the same; set it to case sensitive in Setup")
        return {}

    def _values(self) -> dict[str, Any]:
        if self.kind not in ("Picklist", "MultiselectPicklist") or not self.said.choices:
            return {}
        value_set = self.present.get("valueSet") or {}
        own = value_set.get("valueSetDefinition")
        if own is None:
            name = value_set.get("valueSetName") or "of the org"
            if value_set.get("restricted", True):
                self.drift.append(
                    f"takes its values from the global value set {name}, which deploy never changes; it must have: "
                    f"{', '.join(choice.value for choice in self.said.choices)}"
                )
            return {}
        held = {str(value.get("fullName")): value for value in own.get("value") or ()}
        return self._grown(value_set, own, held)

    def _grown(self, value_set: Body, own: Body, held: Mapping[str, Body]) -> dict[str, Any]:
        wanted = {choice.value: choice for choice in self.said.choices}
        by_fold = {name.casefold(): name for name in held}
        self.drift += [
            f"value `{name}` is inactive; activate it in Setup, or rename it in the program"
            for name in wanted
            if name in held and held[name].get("isActive") is False
        ]
        alike = [name for name in wanted if name not in held and name.casefold() in by_fold]
        self.cannot += [
            f"has the value `{by_fold[name.casefold()]}`, the program says `{name}`; write both alike" for name in alike
        ]
        if others := [
            name for name, value in held.items() if name not in wanted and value.get("isActive") is not False
        ]:
            self.told.append(f"values that the program does not know stay active: {', '.join(others)}")
        missing = [name for name in wanted if name not in held and name not in alike]
        if not missing:
            return {}
        self.added.append(f"values {', '.join(missing)}")
        new = [{"fullName": name, "default": False, "label": wanted[name].label} for name in missing]
        grown = {**own, "value": [*(own.get("value") or ()), *new]}
        return {"valueSet": {**value_set, "valueSetDefinition": grown}}
