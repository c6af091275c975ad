"""A real browser: pages opened in it, what they ask for and complain of, and a screenshot of each test that fails."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "runs" / "screenshots"
AXE = Path(os.environ.get("AXE", ROOT / ".venv/npm/node_modules/axe-core/axe.min.js"))
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@dataclass
class Seen:
    """A page of the browser, the addresses it asked for, and what it wrote to its console."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What axe-core finds wrong with the page as it is now: rule and element."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]

    def outside(self) -> list[str]:
        """Requests that leave this machine's files."""
        return [address for address in self.requests if not address.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    # by name: type checkers see it only where it is installed
    with import_module("playwright.sync_api").sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def seen(browser: Any, request: pytest.FixtureRequest) -> Iterator[Seen]:
    """An empty page of the browser, with the options that the test gives as this fixture's parameter."""
    page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **getattr(request, "param", {})})
    found = Seen(page)
    page.on("request", lambda asked: found.requests.append(asked.url))
    page.on("console", lambda told: found.complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    if getattr(request.node, "failed", False):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
    page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.failed = report.failed  # pyright: ignore[reportAttributeAccessIssue]
    return report
