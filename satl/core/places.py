"""Where the source tree lies, and which methods are in it. Importing this imports no method."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def method_files(root: Path = ROOT) -> dict[str, Path]:
    """The files of all methods, by the names that configs use: `satl`, then those of baselines/."""
    baselines = sorted(root.glob("baselines/[!_]*.py"))
    return {"satl": root / "satl/methods/satl.py", **{file.stem: file for file in baselines}}


METHODS = method_files()


def method_module(name: str) -> str:
    """The importable name of a method's file: `baselines.sst`."""
    return ".".join(METHODS[name].relative_to(ROOT).with_suffix("").parts)
