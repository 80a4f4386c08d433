"""What scoring refuses, and in which words.

InvalidError
├── TemplateError            a template's text is not valid; ``data["position"]`` is the offset of the fault
├── MissingColumnError       a template names a column that the row does not have
├── UnrenderableValueError   a row holds a value that has no JSON form
├── FewshotError             few-shot settings contradict each other or the pool is too small
├── ExtractionSpecError      an extraction rule cannot be built; ``param`` names its field
├── ScoreValueError          a grader's value is not a finite number
├── JudgeQuestionError       a judge's question cannot be asked or scored
└── UnsupportedFamilyError   a task type has no built-in scorer
LimitError
├── PromptTooLongError       a rendered text passes the bound
├── ExtractionTimeoutError   a pattern ran out of time on one sample
└── MathTimeoutError         a math answer could not be compared in time
UnavailableError
└── MathComparisonError      computer algebra failed on a math answer
"""

from __future__ import annotations

from assay.kit.errors import InvalidError, LimitError, UnavailableError


class TemplateError(InvalidError):
    """The template's text is not valid."""

    code = "template_invalid"


class MissingColumnError(InvalidError):
    """The template names a column that the row does not have."""

    code = "missing_column"


class UnrenderableValueError(InvalidError):
    """The row holds a value that has no JSON form."""

    code = "unrenderable_value"


class FewshotError(InvalidError):
    """The few-shot settings contradict each other, or the pool has too few rows."""

    code = "fewshot_invalid"


class ExtractionSpecError(InvalidError):
    """The extraction rule cannot be built."""

    code = "extraction_invalid"


class ScoreValueError(InvalidError):
    """The value is not a finite number."""

    code = "score_invalid"


class JudgeQuestionError(InvalidError):
    """A judge's question cannot be asked or scored."""

    code = "judge_question_invalid"


class UnsupportedFamilyError(InvalidError):
    """The task type has no built-in scorer."""

    code = "scorer_unsupported"


class PromptTooLongError(LimitError):
    """The rendered text passes the bound."""

    code = "prompt_too_long"


class ExtractionTimeoutError(LimitError):
    """The pattern ran out of time on one sample."""

    code = "extraction_timeout"


class MathTimeoutError(LimitError):
    """Comparing a math answer with its target took too long."""

    code = "math_timeout"


class MathComparisonError(UnavailableError):
    """A math answer could not be compared with its target, for a reason that is not the answer's."""

    code = "math_comparison_failed"
