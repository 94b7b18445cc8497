"""The safeguards without which a customer could be lost, doubled or exposed, and the tests that notice one gone.

Each names the fewest tests that are sure to notice. A mutation replaces as little text as says what it means, so that
the code around it may change.
"""

from tests.mutation.mutant import Mutation

LOST = "tests/flows/test_lost_answers.py::test_one_lost_answer_leaves_one_of_everything"
LOST_CREDENTIAL = f"{LOST}[sqlite-drop_after-create_credential]"
LOOKING_TWICE = "tests/flows/test_looking_twice.py::test_a_credential_that_shows_only_at_the_second_look_is_adopted"
TURNS = "tests/flows/test_turns.py::test_one_that_was_cancelled_does_not_take_the_consent_that_another_waits_for"
STEPS = "tests/flows/test_steps.py"
WORK = "tests/store/test_work.py"
LEASES = "tests/store/test_leases.py"
FENCE = "tests/store/test_fence.py"
AT_WORK = "tests/flows/test_at_work.py"
CLOCK = "tests/flows/test_resources.py"
COMPARE_AND_SET = "tests/store/test_compare_and_set.py"
CIRCLES = "tests/store/test_circles.py"

TOGETHER = "tests/flows/test_users_together.py"

IN_THE_STEPS = (
    Mutation(
        name="whom a call for many left out counts as created by it",
        file="flows/steps/users_together.py",
        was="await _learn(parts, asked - left_out, alloy)",
        becomes="await _learn(parts, asked, alloy)",
        tests=(f"{TOGETHER}::test_who_was_there_before_us_is_adopted_and_the_others_are_ours[sqlite]",),
    ),
    Mutation(
        name="a call for many goes on without those who were cancelled while it was held up",
        file="flows/steps/users_together.py",
        was="permit.prolonged_by(prolong)",
        becomes="pass",
        tests=(
            f"{TOGETHER}::test_if_one_is_cancelled_while_the_call_is_held_up_nothing_is_sent_and_the_others_go_on_by_themselves[sqlite]",
        ),
    ),
    Mutation(
        name="who has an open intent is in a call for many",
        file="flows/steps/users_together.py",
        was=" and one.record.intent is None]",
        becomes="]",
        tests=(f"{TOGETHER}::test_who_has_an_open_intent_is_looked_for_by_themselves[sqlite]",),
    ),
    Mutation(
        name="an open intent is not looked up",
        file="flows/steps/rule.py",
        was="found = await change.look_up()",
        becomes="found = None",
        tests=(LOST_CREDENTIAL,),
    ),
    Mutation(
        name="an unknown outcome counts as nothing done",
        file="flows/steps/rule.py",
        was="return failure.effect is Effect.nothing",
        becomes="return True",
        tests=(LOST_CREDENTIAL,),
    ),
    Mutation(
        name="a look in vain is believed at once",
        file="flows/steps/rule.py",
        was="if earlier.absent_at is None:\n",
        becomes="if earlier.absent_at is None:\n        return\n",
        tests=(f"{LOOKING_TWICE}[sqlite]",),
    ),
    Mutation(
        name="a look in vain is believed while the call may be under way",
        file="flows/steps/rule.py",
        was="if now < earlier.settled_at:",
        becomes="if False:",
        tests=(f"{LOOKING_TWICE}[sqlite]",),
    ),
    Mutation(
        name="a renewed link comes with a new snapshot",
        file="flows/steps/credentials.py",
        was="if record.snapshot is None:\n        await attempt.learn(",
        becomes="if record.snapshot is None or record.link_issued_at is None:\n        await attempt.learn(",
        tests=("tests/flows/test_consents.py::test_a_renewed_link_does_not_swallow_a_consent_already_given[sqlite]",),
    ),
    Mutation(
        name="a username that is taken is not looked up",
        file="flows/steps/users.py",
        was="found = await look_up() if refusal.status in MAYBE_TAKEN else None",
        becomes="found = None",
        tests=("tests/flows/test_steps.py::test_a_user_whose_name_is_taken_is_adopted[message-409-sqlite]",),
    ),
    Mutation(
        name="leases are not renewed while a page is in flight",
        file="flows/loop.py",
        was="if tokens:",
        becomes="if False:",
        tests=("tests/flows/test_loop.py::test_what_is_in_hand_for_longer_than_a_lease_is_kept[sqlite]",),
    ),
    Mutation(
        name="the machine's own clock decides",
        file="flows/resources.py",
        was="clock = FollowingClock(partial(time_of, engine))",
        becomes="clock = FollowingClock(__import__('flows.clock').clock.SystemClock().now)",
        tests=(f"{CLOCK}::test_the_databases_clock_decides_whatever_the_machines_own_says[sqlite]",),
    ),
    Mutation(
        name="an installation of before us is taken for ours",
        file="flows/steps/installations.py",
        was="if not record.was_installed and await _installed(attempt):",
        becomes="if await _installed(attempt):",
        tests=(f"{STEPS}::test_an_installation_of_before_us_is_not_taken_for_ours[err_before-sqlite]",),
    ),
    Mutation(
        name="what a run has cost is told at its end alone",
        file="flows/at_work.py",
        was="await note(ended=False)",
        becomes="pass",
        tests=(
            f"{AT_WORK}::test_while_a_run_is_at_work_its_calls_are_noted_so_that_a_killed_one_has_told_them[sqlite]",
        ),
    ),
    Mutation(
        name="who begins leaves others their turn",
        file="flows/steps/credentials.py",
        was="await attempt.take_turn(turns_to_take(attempt.record))",
        becomes="pass",
        tests=(f"{TURNS}[sqlite]",),
    ),
)

IN_THE_STORE = (
    Mutation(
        name="no intent is written before the call",
        file="store/beginnings.py",
        was="return open_intents(connection, [write.intent for write in writes], now)",
        becomes="return [0 for _ in writes]",
        tests=(LOST_CREDENTIAL,),
    ),
    Mutation(
        name="an answer that comes late is thrown away",
        file="store/work.py",
        was="closes.append(Close(close.id, Closing.late, close.evidence))",
        becomes="pass",
        tests=(f"{WORK}::test_an_answer_that_comes_late_is_kept_for_whoever_claims_next[sqlite]",),
    ),
    Mutation(
        name="the fence does not ask whose lease it is",
        file="store/fence.py",
        was="(row.lease_token, row.stage, row.version) ==",
        becomes="(write.record.token, write.record.stage, write.record.version) ==",
        tests=(f"{FENCE}::test_a_worker_whose_record_another_has_writes_nothing[sqlite-Begin]",),
    ),
    Mutation(
        name="the fence does not ask whether the lease ran out",
        file="store/fence.py",
        was="row.lease_until > now",
        becomes="row.lease_until is not None",
        tests=(f"{FENCE}::test_a_worker_whose_lease_ran_out_writes_nothing[sqlite-Begin]",),
    ),
    Mutation(
        name="an outcome is written without compare-and-set",
        file="store/fence.py",
        was="""        ONBOARDING.c.stage == bindparam("of_stage"),
        ONBOARDING.c.lease_token == bindparam("of_token"),
        ONBOARDING.c.version == bindparam("of_version"),
""",
        becomes="",
        tests=(f"{COMPARE_AND_SET}::test_a_record_that_was_claimed_once_has_one_outcome[sqlite-held twice]",),
    ),
    Mutation(
        name="a claim does not ask whether a sibling is in somebody's hands",
        file="store/leases.py",
        was="_OTHER.c.lease_until > _NOW,",
        becomes="_OTHER.c.id < 0,",
        tests=(f"{LEASES}::test_one_onboarding_of_a_customer_is_claimed_at_a_time[sqlite]",),
    ),
    Mutation(
        name="a renewal locks in any order",
        file="store/leases.py",
        was=".order_by(ONBOARDING.c.id).with_for_update()",
        becomes=".with_for_update()",
        tests=(f"{CIRCLES}::test_no_two_writers_wait_for_each_other[renewing-postgresql]",),
    ),
    Mutation(
        name="outcomes lock in any order",
        file="store/fence.py",
        was=".order_by(ONBOARDING.c.id)",
        becomes="",
        tests=(f"{CIRCLES}::test_no_two_writers_wait_for_each_other[recording-postgresql]",),
    ),
    Mutation(
        name="a deadlock is the end",
        file="store/outages.py",
        was='_DEADLOCK_OR_SERIALIZATION = ("40P01", "40001")',
        becomes='_DEADLOCK_OR_SERIALIZATION = ("", "")',
        tests=(f"{CIRCLES}::test_a_writer_that_is_ended_to_resolve_a_circle_comes_through[recording-postgresql]",),
    ),
    Mutation(
        name="auth values outlive the credential",
        file="store/outcomes.py",
        was='connection.execute(_DELETE_VALUES, {"ids": ids})',
        becomes="pass",
        tests=(f"{WORK}::test_auth_values_are_deleted_once_the_credential_is_there[sqlite]",),
    ),
)
