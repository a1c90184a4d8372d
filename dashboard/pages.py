"""The pages in their order: file, title, sign. A page's address is its title in lower case."""

from __future__ import annotations

PAGES = (
    ("overview/page.py", "Overview", ":material/home:"),
    ("runs/page.py", "Runs", ":material/leaderboard:"),
    ("compare/page.py", "Compare", ":material/compare_arrows:"),
    ("plan/page.py", "Plan", ":material/edit_calendar:"),
    ("costs/page.py", "Costs", ":material/payments:"),
    ("simulate/page.py", "Simulate", ":material/timeline:"),
    ("promote/page.py", "Promote", ":material/rocket_launch:"),
    ("playground/page.py", "Playground", ":material/pets:"),
)


def addresses() -> tuple[str, ...]:
    """Where the pages stand on the server."""
    return ("/", *(f"/{title.lower()}" for _, title, _ in PAGES))
