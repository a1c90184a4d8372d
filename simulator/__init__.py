"""What serving settings would cost and how they would feel, before anybody pays for them. Pure."""

from simulator.advice import Advice, monthly_range, warn
from simulator.assumptions import Assumptions
from simulator.goal import Goal, parse_goal
from simulator.outcome import Outcome
from simulator.recommend import Recommendation, recommend
from simulator.run import Question, simulate
from simulator.service import ServiceTime, constant_ms
from simulator.settings import Serverless, Settings
from simulator.study import Band, Market, Study, study

__all__ = [
    "Advice",
    "Assumptions",
    "Band",
    "Goal",
    "Market",
    "Outcome",
    "Question",
    "Recommendation",
    "Serverless",
    "ServiceTime",
    "Settings",
    "Study",
    "constant_ms",
    "monthly_range",
    "parse_goal",
    "recommend",
    "simulate",
    "study",
    "warn",
]
