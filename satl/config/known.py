"""Which labels are known: the entries of `observe`, and what they and known ratios are called."""

from typing import Annotated, Any

from pydantic import Field

from satl.data.observe import KINDS

# Which labels are known: at random with this ratio, or as the entry of `observe` of this name.
Known = float | str
# Names of columns beside ratios such as 0.10, and parts of folders such as known-0.10.
SettingName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]


def observe_entries(settings: Any) -> Any:
    """The entries of `observe`, by name, where `kind` defaults to the name."""
    if isinstance(settings, str):
        settings = {settings: {}}
    if not isinstance(settings, dict):
        raise ValueError("must be a mapping of names to options, e.g. `single_positive: {}`")
    entries = {}
    for name, options in settings.items():
        options = {} if options is None else options
        if not isinstance(options, dict):
            raise ValueError(f"{name}: must be a mapping of options, found {options!r}")
        if name in KINDS and options.get("kind", name) != name:
            raise ValueError(f"{name}: is the name of a kind, but of kind {options['kind']!r}")
        entries[name] = {"kind": name, **options}
    return entries


def ratio_name(known: Known) -> str:
    """How paths and tables write a known ratio, 0.1 -> '0.10', or the name of another setting.

    In the order of these texts, ratios ascend, and names follow them.
    """
    return known if isinstance(known, str) else f"{known:.2f}"


def known_title(known: Known) -> str:
    """How tables, figures and the terminal show it: 0.1 -> '10 %', or the name of the setting."""
    return known if isinstance(known, str) else f"{100 * known:.0f} %"
