"""Which result tables there are: what each shows, by the name of its files."""

from collections.abc import Mapping
from dataclasses import dataclass

from satl.config.known import Known

TUNED = "tuned"


@dataclass(frozen=True)
class Shown:
    """What one table shows: a row per method; all known ratios, or one other setting.

    Attributes:
        methods: in the order of the rows.
        known: all known ratios, or one entry of `observe` alone.
        group: the ablation whose table it is, TUNED, or "" for the main tables.
    """

    methods: list[str]
    known: list[Known]
    group: str = ""

    @property
    def setting(self) -> str | None:
        """The entry of `observe`; None for a table of known ratios."""
        first = self.known[0]
        return first if isinstance(first, str) else None


def tables_of(
    dataset: str, known: list[Known], groups: Mapping[str, list[str]]
) -> dict[str, Shown]:
    """The tables of a data set, by the name of their files: DATASET[-GROUP][-SETTING].

    The known ratios form one table; a setting has one of its own, whose name does without the
    setting where it is all there is.

    Args:
        dataset: its name.
        known: known ratios and other settings.
        groups: the methods of each `Shown.group`.

    Raises:
        ValueError: two tables, or a table and the differences of another, would share a name.
    """
    ratios: list[Known] = [one for one in known if not isinstance(one, str)]
    parts: dict[str, list[Known]] = {"": ratios} if ratios else {}
    parts |= {one: [one] for one in known if isinstance(one, str)}
    if len(parts) == 1:
        parts = {"": known}
    tables = [
        ("-".join(filter(None, (dataset, group, setting))), Shown(methods, shown, group))
        for group, methods in groups.items()
        for setting, shown in parts.items()
    ]
    check_distinct([name for name, _ in tables])
    return dict(tables)


def check_distinct(names: list[str]) -> None:
    """Raise ValueError where two tables, or their files of differences, would be called alike."""
    files = [*names, *(f"{name}-differences" for name in names)]
    for name in files:
        if files.count(name) > 1:
            raise ValueError(
                f"two tables would be called {name!r}: tables are named after the data set, then "
                "the ablation (or `tuned`, or `differences`), then the entry of `observe`; give "
                "one of these another name"
            )
