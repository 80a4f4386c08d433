"""Programs by section of the contract: text forms and the library (§5.7, §5.8)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.sandbox.hog.programs import Case, check, fails, prints, returns, run

from assay.sandbox.hog import compile_program, run_program
from assay.sandbox.hog.library import LIBRARY

TEXT = [
    prints("print('a b', 1, null)", "a b 1 null"),
    prints("print()", ""),
    prints("print(null, true, false, 1, 2.0, 1e300, 0.1)", "null true false 1 2.0 1e+300 0.1"),
    prints(r"print(['\n\t\r\b\f\0\a\v\\\''])", r"['\n\t\r\b\f\0\a\v\\\'']"),
    prints("print([1, 'a', null])", "[1, 'a', null]"),
    prints("print((1, 2), tuple(1), tuple())", "(1, 2) tuple(1) tuple()"),
    prints("print({'k': 1, 'z': [2]})", "{'k': 1, 'z': [2]}"),
    prints("fn name(a, b) {} print(name, x -> 1, [length])", "fn<name(2)> fn<lambda(1)> [fn<length(1)>]"),
    prints("print(Error('m'), HogError('T', 'm', [1]))", "Error('m') T('m', [1])"),
    prints("print(toDate('2024-01-31'), toDateTime(1700000000))", "Date(2024, 1, 31) DateTime(1700000000.0, 'UTC')"),
    prints("print(toIntervalDay(2))", "{'__hogInterval__': true, 'value': 2, 'unit': 'day'}"),
    prints("let a := [1] a[1] := a print(a)", "[null]"),
    prints("let o := {} o.o := o let s := [o, o] print(s)", "[{'o': null}, {'o': null}]"),
    returns("return concat('a', null, 1, [null])", "a1[null]"),
    returns("return null || 'x' || toDate('2024-01-31')", "xDate(2024, 1, 31)"),
    returns("return arrayMap(toString, ['a', null, true, 1.0, [1]])", ["a", "null", "true", "1.0", "[1]"]),
    returns("return toString(toDateTime('2024-01-31 10:00:00.1239'))", "2024-01-31T10:00:00.123Z"),
    returns("return toString(toTimeZone(toDateTime(0), 'Asia/Kolkata'))", "1970-01-01T05:30:00.000+05:30"),
    returns("return toString(toDate(86400))", "1970-01-02"),
]

GENERAL = [
    returns(
        "return arrayMap(toInt, ['12', ' 7 ', '12.5', 'x', 3.9, -3.9, true, null, inf])",
        [12, 7, None, None, 3, -3, 1, None, None],
    ),
    returns("return arrayMap(toFloat, ['12.5', 'x', 3, false, null])", [12.5, None, 3.0, 0.0, None]),
    returns("return [toInt(toDate('1970-01-11')), toInt(toDateTime('1970-01-01T00:01:00Z'))]", [10, 60]),
    returns("return toUUID('not checked')", "not checked"),
    returns("return [ifNull(null, 1), coalesce(null, null, 2), coalesce(null), assumeNotNull(3)]", [1, 2, None, 3]),
    fails("return assumeNotNull(null)", "null"),
    returns("return [isNull(null), isNotNull(null)]", [True, False]),
    returns("return [and(1, 'a'), and(1, 0), or(0, 1), or(0), not(1)]", [True, False, True, False, False]),
    returns("return [equals(1, 1.0), equals(1, '1'), notEquals('a', 'b')]", [True, False, True]),
    returns(
        "return [less(1, 2), lessOrEquals(2, 2), greater(1, 2), greaterOrEquals('b', 'a'), less(null, 1)]",
        [True, True, False, True, False],
    ),
    fails("return less(1, '2')", "Cannot compare"),
    returns("return [plus(1, 2), minus(1, 2), min2(3, 2), max2('a', 'b')]", [3, -1, 2, "b"]),
    returns("return [floor(1.9), floor(-1.1), round(0.5), round(1.5), round(2.567, 2)]", [1, -2, 0, 2, 3]),
    fails("return floor(inf)", "failed"),
    fails("return floor('1')", "needs a number"),
    returns("return [range(3), range(2, 5), range(5, 2)]", [[0, 1, 2], [2, 3, 4], []]),
    returns(
        "return arrayMap(empty, [null, '', [], {}, tuple(), 0, false, 'a', [0]])",
        [True, True, True, True, True, False, False, False, False],
    ),
    returns("return notEmpty([1])", True),
    returns("return arrayMap(length, ['hé', [1, 2], {'a': 1}, (1, 2, 3), null])", [2, 2, 1, 3, None]),
    returns("sleep(5) return run('select 1')", []),
    fails("return fetch('http://localhost')", "not available"),
    fails("return postHogCapture({})", "not available"),
    fails("return import('x')", "not available"),
    returns("return [length(generateUUIDv4()), randomFloat() < 1]", [36, True]),
]

STRINGS = [
    returns("return [lower('AÉ'), upper('aß'), reverse('abc'), lower(null)]", ["aé", "ASS", "cba", None]),
    returns(
        "return [trim('  a '), trimLeft('xxa', 'x'), trimRight('axx', 'x'), trim('a', 'xy'), trim(null)]",
        ["a", "a", "a", "", None],
    ),
    returns(
        "return [replaceOne('aaa', 'a', 'b'), replaceAll('aaa', 'a', 'b'), replaceAll(null, 'a', 'b')]",
        ["baa", "bbb", None],
    ),
    returns("return replaceAll('a.b', '.', '$1')", "a$1b"),
    returns(
        "return [substring('hello', 2, 3), substring('hello', 4), substring('hello', 0, 1), "
        "substring('hello', 1, -1), substring('hello', 9), substring(5, 1)]",
        ["ell", "lo", "", "", "", ""],
    ),
    returns("return [startsWith('abc', 'ab'), startsWith(null, 'a'), startsWith(1, '1')]", [True, False, False]),
    returns(
        "return [position('abc', 'c'), position('abc', 'x'), position(null, 'a'), positionCaseInsensitive('ABC', 'b')]",
        [3, 0, 0, 2],
    ),
    returns(
        "return [splitByString(',', 'a,b,c'), splitByString(',', 'a,b,c', 2), splitByString(',', null)]",
        [["a", "b", "c"], ["a", "b"], None],
    ),
    returns(
        "return [like('abc', 'a%'), ilike('ABC', 'a%'), notLike('abc', 'x'), notILike('A', 'a')]",
        [True, True, True, False],
    ),
    returns(
        "return [match('abc', 'b'), match(null, 'b'), extractRegex('k=v', '=(.)'), extractRegex('ab', 'b'), "
        "extractRegex('ab', 'x')]",
        [True, False, "v", "b", ""],
    ),
    returns(
        "return [multiSearchAnyCaseInsensitive('Hello', ['x', 'LL']), multiSearchAnyCaseInsensitive('Hello', ['x'])]",
        [1, 0],
    ),
    fails("return upper(1)", "needs a string"),
]

ENCODING = [
    returns("return encodeURLComponent('a b/é')", "a%20b%2F%C3%A9"),
    returns(
        "return [decodeURLComponent('a%20b'), tryDecodeURLComponent('%zz'), tryDecodeURLComponent('%41')]",
        ["a b", None, "A"],
    ),
    returns(
        "return [base64Encode('hé'), base64Decode('aMOp'), tryBase64Decode('@'), tryBase64Decode('aMOp')]",
        ["aMOp", "hé", None, "hé"],
    ),
    fails("return base64Decode('a')", "base 64"),
    # Digests of "abc": RFC 1321 appendix A.5 and FIPS 180 examples.
    returns("return md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
    returns("return sha1Hex('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    returns("return sha256('abc', 'base64')", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
    returns("return sha256('abc', 'base64url')", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"),
    returns("return [md5Hex(null), length(sha1('a', 'binary'))]", [None, 20]),
    fails("return md5('a', 'rot13')", "Unknown encoding"),
    # RFC 4231, test case 2.
    returns(
        "return sha256HmacChainHex(['Jefe', 'what do ya want for nothing?'])",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    fails("return sha1HmacChain(['a'])", "at least two"),
    returns(
        "return [isIPAddressInRange('10.1.2.3', '10.0.0.0/8'), isIPAddressInRange('::1', '::/64'), "
        "isIPAddressInRange('x', 'y')]",
        [True, True, False],
    ),
    returns(
        "return [sortableSemver('v1.2.10-rc1'), sortableSemver('none'), sortableSemver(null)]", [[1, 2, 10], [], []]
    ),
]

ARRAYS = [
    returns(
        "return [keys({'a': 1}), keys([7, 8]), keys(null), values({'a': 1}), values((1, 2)), values(3)]",
        [["a"], [0, 1], [], [1], [1, 2], []],
    ),
    returns("return tuple(1, 2)", (1, 2)),
    returns(
        "return [in(1, [1]), in('a', {'a': 1}), in(1, 5), has([1], 1), has(null, 1), has(['1'], 1)]",
        [True, True, False, True, False, False],
    ),
    returns("return [indexOf([5, 6], 6), indexOf([5], 6), indexOf(null, 1)]", [2, 0, 0]),
    returns(
        "let a := [1] return [arrayPushBack(a, 2), arrayPushFront(a, 0), a, arrayPushBack(null, 1)]",
        [[1, 2], [0, 1], [1], [1]],
    ),
    returns(
        "return [arrayPopBack([1, 2]), arrayPopFront([1, 2]), arrayPopBack([]), arrayPopBack(null)]", [[1], [2], [], []]
    ),
    returns(
        "return [arraySort([3, 1, 2]), arraySort(['b', 'a']), arrayReverse([1, 2]), arrayReverseSort([1, 3]), "
        "arraySort(null)]",
        [[1, 2, 3], ["a", "b"], [2, 1], [3, 1], []],
    ),
    returns("return arraySort([[2, 1], [1, 9]])", [[1, 9], [2, 1]]),
    fails("return arraySort([1, 'a'])", "Cannot compare"),
    returns(
        "return [arrayStringConcat(['a', 1, null], '-'), arrayStringConcat(['a', 'b']), arrayStringConcat(1)]",
        ["a-1-", "ab", ""],
    ),
    returns(
        "return [arrayMap(x -> x + 1, [1]), arrayFilter(x -> x > 1, [1, 2]), arrayExists(x -> x = 2, [1, 2]), "
        "arrayCount(x -> x, [0, 1, 2])]",
        [[2], [2], True, 2],
    ),
    returns(
        "return [arrayMap(x -> x, null), arrayFilter(x -> x, null), arrayExists(x -> x, null), "
        "arrayCount(x -> x, null)]",
        [[], [], False, 0],
    ),
    returns("return [arrayReduce((a, b) -> a + b, [1, 2, 3], 10), arrayReduce((a, b) -> b, null, 5)]", [16, 5]),
    returns("return arrayMap(x -> arrayMap(y -> x * y, [1, 2]), [1, 2])", [[1, 2], [2, 4]]),
    fails("return arrayMap([1], x -> x)", "needs an array"),
    fails("return arrayMap(1, [1])", "Cannot call"),
]

DOCUMENTS = [
    returns("return jsonParse('{\"a\": [1, 2.0, null]}')", {"a": [1, 2.0, None]}),
    fails("return jsonParse('{')", "Invalid JSON"),
    returns("return jsonStringify({'a': [1, 2.0, true, null, 'é']})", '{"a": [1, 2.0, true, null, "\\u00e9"]}'),
    returns("return jsonStringify({'a': [1], 'b': []}, 2)", '{\n  "a": [\n    1\n  ],\n  "b": []\n}'),
    returns("let a := [1] a[1] := a return jsonStringify([a, inf])", "[[null], null]"),
    returns("return [isValidJSON('[1]'), isValidJSON('x'), isValidJSON(1)]", [True, False, False]),
    returns(
        "let d := {'a': [1, {'b': '[7]'}]} return [JSONHas(d, 'a', 2, 'b', 1), JSONHas(d, 'a', 0), "
        "JSONHas(d, 'a', -1), JSONHas(d, 'x')]",
        [True, False, True, False],
    ),
    returns("return [JSONLength('{\"a\": [1, 2]}', 'a'), JSONLength('[1]'), JSONLength(5)]", [2, 1, 0]),
    returns(
        'let d := \'{"t": true, "n": "5", "f": 1.5, "o": {"x": 1}}\' return [JSONExtractBool(d, \'t\'), '
        "JSONExtractBool(d, 'n'), JSONExtractInt(d, 'n'), JSONExtractFloat(d, 'f'), JSONExtractString(d, 'n'), "
        "JSONExtractString(d, 'o'), JSONExtractInt(d, 'zzz')]",
        [True, False, 5, 1.5, "5", '{"x": 1}', None],
    ),
    returns(
        "return [JSONExtractArrayRaw('{\"a\": [1]}', 'a'), JSONExtractArrayRaw('{}', 'a'), "
        "JSONExtract('{\"a\": {\"b\": 1}}', 'a', 'Object')]",
        [[1], None, {"b": 1}],
    ),
]

DATES = [
    returns(
        "return [toString(toDateTime('2024-01-31T10:00:00+02:00')), toDateTime('soon'), toDate('2024-13-01')]",
        ["2024-01-31T08:00:00.000Z", None, None],
    ),
    returns(
        "return [toUnixTimestamp(fromUnixTimestamp(5)), toUnixTimestampMilli(fromUnixTimestampMilli(1500))]",
        [5.0, 1500],
    ),
    fails("return fromUnixTimestamp(1e300)", "out of range"),
    fails("return toTimeZone(now(), '../etc/passwd')", "Unknown time zone"),
    returns(
        "return formatDateTime(toDateTime('2024-03-05T14:07:09.123Z'), '%Y %y %m %d %e %H %h %I %i %S %s %f %p')",
        "2024 24 03 05  5 14 02 02 07 09 09 123000 PM",
    ),
    returns(
        "return formatDateTime(toDateTime('2024-03-05T04:07:09Z'), '%k|%l|%a|%b|%M|%W|%j|%u|%w|%F|%T|%R|%D|%z|%%')",
        " 4| 4|Tue|Mar|March|Tuesday|065|2|2|2024-03-05|04:07:09|04:07|03/05/24|+0000|%",
    ),
    returns("return formatDateTime(toDateTime(0), '%H:%i%n%t', 'America/New_York')", "19:00\n\t"),
    returns(
        "return arrayMap(toString, [dateAdd('month', 1, toDate('2024-01-31')), addDays(toDate('2024-02-28'), 2), "
        "dateAdd('hour', 1, toDateTime(0)), dateAdd('year', -1, toDate('2024-02-29'))])",
        ["2024-02-29", "2024-03-01", "1970-01-01T01:00:00.000Z", "2023-02-28"],
    ),
    returns(
        "let a := toDateTime('2024-01-31 23:00:00') let b := toDateTime('2024-03-01 22:00:00') "
        "return arrayMap(u -> dateDiff(u, a, b), ['second', 'hour', 'day', 'week', 'month', 'year'])",
        [2588400, 719, 29, 4, 2, 0],
    ),
    returns(
        "let d := toDateTime('2024-05-15 10:11:12') return arrayMap(u -> toString(dateTrunc(u, d)), "
        "['year', 'month', 'day', 'hour', 'minute'])",
        [
            "2024-01-01T00:00:00.000Z",
            "2024-05-01T00:00:00.000Z",
            "2024-05-15T00:00:00.000Z",
            "2024-05-15T10:00:00.000Z",
            "2024-05-15T10:11:00.000Z",
        ],
    ),
    # 15 May 2024 is a Wednesday.
    returns("return toString(toStartOfWeek(toDate('2024-05-15')))", "2024-05-13"),
    returns(
        "let d := toDate('2024-05-15') return [toYear(d), toMonth(d), toYYYYMM(d), extract('day', d)]",
        [2024, 5, 202405, 15],
    ),
    fails("return dateAdd('fortnight', 1, now())", "Unknown unit"),
    fails("return dateAdd('day', 99999999999, today())", "out of range"),
]

ALL = [*TEXT, *GENERAL, *STRINGS, *ENCODING, *ARRAYS, *DOCUMENTS, *DATES]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.source[:60])
def test_library(case: Case) -> None:
    check(case)


def test_the_clock_can_be_given() -> None:
    program = compile_program("return [toString(now()), toString(today())]")
    outcome = run_program(program, {}, now=lambda: datetime(2024, 2, 29, 12, tzinfo=UTC))
    assert outcome.value == ["2024-02-29T12:00:00.000Z", "2024-02-29"]


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("argument", ["null", "'x'", "-1", "[]", "{}", "inf", "today()", "Error()", "x -> x", "()"])
def test_no_argument_is_unexpected(name: str, argument: str) -> None:
    """Whatever a function is given, it returns or fails as the program's fault, never as the host's."""
    function = LIBRARY[name]
    for count in {function.min_arguments, min(function.max_arguments, 3)}:
        outcome = run(f"return {name}({', '.join([argument] * count)})")
        assert outcome.error is None or outcome.error.text.startswith("Runtime error:"), outcome.error
