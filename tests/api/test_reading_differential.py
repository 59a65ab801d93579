"""The compiler against the reference: whatever is asked, one statement answers what graphql-core finds in Python."""

from graphql import parse
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.api.desk import desk
from tests.api.questions import questions
from tests.api.reference import Reference, plain
from tests.api.sample import load, sample

QUESTIONS = 200


def test_random_questions_have_the_reference_s_answer(database: str) -> None:
    rows = sample(seed=1)
    load(database, rows)
    reference = Reference(rows)
    with desk(database) as at:

        @seed(20261123)
        @settings(
            max_examples=QUESTIONS,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
        )
        @given(st.data())
        def check(data: st.DataObject) -> None:
            question, variables = data.draw(questions(at.schema, rows))
            expected = plain(reference.answer(parse(question), variables))
            assert at.data(question, variables) == expected
            # Once more, out of the plan cache.
            assert at.data(question, variables) == expected

        check()
