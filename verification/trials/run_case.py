"""run_case: the one executor. A campaign, a child process and a replay all call this function and
no other.
"""

from verification import catalogue
from verification.cases import Case
from verification.properties import PROPERTIES
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import NotExercised, Outcome, Passed
from verification.trials.trial import Trial, Unjudged


def run_case(case: Case) -> Outcome:
    """Make the case real, judge it by its property, and say how it ended.

    Raises:
        KeyError: the catalogue has no such subject, or there is no such property.
    """
    trial = Trial(case, catalogue.find(case.subject.name))
    try:
        PROPERTIES[case.property].check(trial)
    except Unjudged as nothing:
        return NotExercised(str(nothing))
    except Discrepancy as discrepancy:
        return discrepancy
    return Passed(tuple(trial.counts.items()))
