from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.errors import MissingColumnError, PromptTooLongError, TemplateError, UnrenderableValueError
from assay.scoring.templates import MAX_RENDERED_CHARS, MAX_TEMPLATE_CHARS, Template


@dataclass(frozen=True)
class Case:
    id: str
    text: str
    expected: str
    row: dict[str, Any] = field(default_factory=dict[str, Any])
    choices: tuple[str, ...] | None = None


RENDERED = [
    Case("plain text", "no placeholder }} at all", "no placeholder }} at all"),
    Case("empty", "", ""),
    Case("column", "Q: {{question}}\n", "Q: why?\n", {"question": "why?"}),
    Case("spaces inside", "{{  question\t}}", "why?", {"question": "why?"}),
    Case("adjacent", "{{a}}{{b}}{{a}}", "121", {"a": "1", "b": "2"}),
    Case("nested", "{{a.b.c}}", "deep", {"a": {"b": {"c": "deep"}}}),
    Case("list position", "{{a.1.x}}", "second", {"a": [{"x": "first"}, {"x": "second"}]}),
    Case("digits as a key", "{{a.1}}", "one", {"a": {"1": "one"}}),
    Case("column with spaces", "{{Question Text}}", "why?", {"Question Text": "why?"}),
    Case("column with hyphen", "{{query-id}}", "q1", {"query-id": "q1"}),
    Case("unicode column", "{{Frage}} {{質問}}", "a b", {"Frage": "a", "質問": "b"}),
    Case("true", "{{v}}", "true", {"v": True}),
    Case("null", "{{v}}", "null", {"v": None}),
    Case("integer", "{{v}}", "7", {"v": 7}),
    Case("integer past 64 bits", "{{v}}", "123456789012345678901234567890", {"v": 123456789012345678901234567890}),
    Case("float", "{{v}}", "0.5", {"v": 0.5}),
    Case("object", "{{v}}", '{"k":["é",1]}', {"v": {"k": ["é", 1]}}),
    Case("task's choices", "{{choices}} {{choices.1}}", '["x","y"] y', choices=("x", "y")),
    Case("task's choices win", "{{choices}}", '["x"]', {"choices": ["row"]}, ("x",)),
    Case("row's choices", "{{choices.0}}", "row", {"choices": ["row"]}),
    Case("value is not a template", "{{v}}", "{{w}}", {"v": "{{w}}", "w": "no"}),
    Case("literal braces", "{{ '{{' }} and {{\"{{\"}}x}}", "{{ and {{x}}"),
    Case("JSON around", '{"a": {"q": "{{v}}"}}', '{"a": {"q": "1"}}', {"v": "1"}),
    Case("lone block opening", "{% is LaTeX", "{% is LaTeX"),
]


@pytest.mark.parametrize("case", RENDERED, ids=lambda case: case.id)
def test_renders(case: Case) -> None:
    assert Template.parse(case.text).render(case.row, choices=case.choices) == case.expected


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("ab {{x", 3),
        ("{{}}", 0),
        ("a{{ }}", 1),
        ("{{x}} {{ x | upper }}", 6),
        ("{{x()}}", 0),
        ("{{x[0]}}", 0),
        ("{{x..y}}", 0),
        ("{{.x}}", 0),
        ("{{x.}}", 0),
        ("{{{x}}}", 0),
        ("{{ {{x}} }}", 0),
        ("{{x\ny}}", 0),
        ("ok {% if x %}y", 3),
        ("x" * (MAX_TEMPLATE_CHARS + 1), 0),
    ],
)
def test_refuses_bad_syntax_and_says_where(text: str, position: int) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert caught.value.data["position"] == position
    assert f"character {position + 1}" in caught.value.message


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("{{answer}}", {"question": "q", "id": 1}, "no column 'answer'; it has: question, id"),
        ("{{answer}}", {}, "it has: nothing"),
        ("{{a.b.c}}", {"a": {"b": {"d": 1}}}, "'a.b' has no field 'c'; it has: d"),
        ("{{a.2}}", {"a": [1, 2]}, "'a' is a list of 2; it has no position '2'"),
        ("{{a.-1}}", {"a": [1, 2]}, "no position '-1'"),
        ("{{a.x}}", {"a": "text"}, "'a' is a string"),
        ("{{a.x}}", {"a": None}, "'a' is null"),
        ("{{a.x}}", {"a": True}, "'a' is a boolean"),
        ("{{choices}}", {"a": 1}, "no column 'choices'"),
        ("{{z}}", {f"c{i}": 0 for i in range(25)}, "c19 and 5 more"),
    ],
)
def test_a_path_that_leads_nowhere_is_named_with_what_is_there(text: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingColumnError, match="it has") as caught:
        Template.parse(text).render(row)
    assert message in caught.value.message
    assert caught.value.data["column"] == text.strip("{}").split(".")[0]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), [1, {2}]])
def test_a_value_without_json_form_is_refused(value: Any) -> None:
    with pytest.raises(UnrenderableValueError, match="'v' cannot be written"):
        Template.parse("{{v}}").render({"v": value})


def test_output_is_bounded() -> None:
    template = Template.parse("{{v}}{{v}}")
    half = "x" * (MAX_RENDERED_CHARS // 2)
    assert len(template.render({"v": half})) == MAX_RENDERED_CHARS
    with pytest.raises(PromptTooLongError):
        template.render({"v": half + "x"})


def test_columns_are_root_names_once_in_order() -> None:
    assert Template.parse("{{b.x}} {{a}} {{b.y}} {{choices.0}} {{'{{'}}").columns == ("b", "a", "choices")


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [("{{v}}", None, None), ("{{v}}", "", ""), ("{{v}}", 0, "0"), ("is {{v}}", None, "is null"), ("", None, "")],
)
def test_a_lone_null_is_no_text(text: str, value: Any, expected: str | None) -> None:
    assert Template.parse(text).render_optional({"v": value}) == expected


@settings(deadline=None)
@given(st.text(alphabet=st.characters() | st.sampled_from("{}%.a "), max_size=60))
def test_any_text_parses_or_is_refused_with_a_position_inside_it(text: str) -> None:
    position = 0
    try:
        template = Template.parse(text)
    except TemplateError as error:
        position = error.data["position"]
    else:
        assert template.text == text
        assert "{{" in text or template.render({}) == text
    assert 0 <= position <= max(len(text) - 1, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(alphabet="ab }%.\n"), st.text()), max_size=8))
def test_literals_and_values_come_out_unchanged(pieces: list[tuple[str, str]]) -> None:
    text = "".join(f"{literal}{{{{c{i}}}}}" for i, (literal, _) in enumerate(pieces))
    row = {f"c{i}": value for i, (_, value) in enumerate(pieces)}
    assert Template.parse(text).render(row) == "".join(literal + value for literal, value in pieces)
