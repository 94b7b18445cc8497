"""The form of an installation: what is asked, and whether answers fit (alloy-api.md 9).

Answers are matched by (workflow, block, name), because one field name may stand in many blocks. Either all answers
fit, or nothing is applied.
"""

from deployments.sandbox.account import Form
from deployments.sandbox.catalogue import Integration, Question, Workflow
from deployments.sandbox.refusal import Refused

Place = tuple[str, str, str]
"""Workflow id, block id, field name."""


def form_of(integration: Integration, workflow_ids: tuple[str, ...]) -> Form:
    """Return the blocks of these workflows that ask something."""
    return [
        {
            "workflowId": workflow.workflow_id,
            "app": block.connector,
            "blockId": block.block_id,
            "fields": [_shown_question(question) for question in block.questions],
        }
        for workflow in integration.workflows
        if workflow.workflow_id in workflow_ids
        for block in workflow.blocks
        if block.questions
    ]


def form_of_workflow(integration: Integration, workflow: Workflow) -> Form:
    """Return what one workflow asks today."""
    return form_of(integration, (workflow.workflow_id,))


def check_answers(form: Form, answers: object) -> list[dict[str, object]]:
    """Return the answers if every one fits the form and none is missing; refuse otherwise."""
    if not isinstance(answers, list):
        raise Refused(400, "data must be an array")
    questions = _questions(form)
    given: dict[Place, object] = {}
    for block in answers:
        for place, value in _values_of(block):
            if place not in questions:
                raise Refused(400, f"Unknown workflow, block or field: {place[2]}")
            if place in given:
                raise Refused(400, f"Field given twice: {place[2]}")
            given[place] = value
    for place, question in questions.items():
        if place in given:
            _check_value(question, given[place])
        elif question["required"]:
            raise Refused(400, f"Missing required field: {place[2]}")
    return answers


def _shown_question(question: Question) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": question.name,
        "displayName": question.display_name,
        "type": question.type,
        "required": question.required,
    }
    if question.sub_type is not None:
        shown["subType"] = question.sub_type
    if question.options:
        shown["options"] = [{"displayName": one.display_name, "value": one.value} for one in question.options]
    return shown


def _questions(form: Form) -> dict[Place, dict[str, object]]:
    found: dict[Place, dict[str, object]] = {}
    for block in form:
        fields = block["fields"]
        if isinstance(fields, list):
            for question in fields:
                found[str(block["workflowId"]), str(block["blockId"]), question["name"]] = question
    return found


def _values_of(block: object) -> list[tuple[Place, object]]:
    if not isinstance(block, dict):
        raise Refused(400, "data must be an array of objects")
    workflow_id, block_id, fields = block.get("workflowId"), block.get("blockId"), block.get("fields")
    if not isinstance(workflow_id, str) or not isinstance(block_id, str) or not isinstance(fields, list):
        raise Refused(400, "Each entry of data needs workflowId, blockId and fields")
    values: list[tuple[Place, object]] = []
    for field in fields:
        if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "value" not in field:
            raise Refused(400, "Each field needs name and value")
        values.append(((workflow_id, block_id, field["name"]), field["value"]))
    return values


def _check_value(question: dict[str, object], value: object) -> None:
    name, options = question["name"], question.get("options")
    if question["required"] and value == "":
        raise Refused(400, f"Missing required field: {name}")
    if isinstance(options, list):
        # The type counts too: for Python, 1 == True == 1.0.
        if not any(type(one["value"]) is type(value) and one["value"] == value for one in options):
            raise Refused(400, f"Not one of the options: {name}")
        return
    if not _fits(question["type"], value):
        raise Refused(400, f"Wrong type: {name}")


def _fits(kind: object, value: object) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str | int | float | bool)
