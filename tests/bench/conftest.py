"""Says below the tables what benchmarks have noted beside their times (images per second)."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    noted = [b for b in config._benchmarksession.benchmarks if b.extra_info]
    if noted:
        terminalreporter.section("beside the times")
    for benchmark in noted:
        values = ", ".join(f"{name} {value:,}" for name, value in benchmark.extra_info.items())
        terminalreporter.write_line(f"{benchmark.name:40} {values}")
