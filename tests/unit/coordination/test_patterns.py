"""RE2's syntax over topic names: what matches, what is refused, and that nothing is slow."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.coordination.patterns import matching_names
from ottla.protocol.errors import ErrorCode, KafkaError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("", [""], ["a"]),
        ("a.*b", ["ab", "axxb"], ["a", "abx", "xab"]),
        ("foo|bar-[0-9]{2,3}", ["foo", "bar-12", "bar-123"], ["bar-1", "bar-1234", "fo"]),
        ("^foo$", ["foo"], ["foox"]),
        (r"\Afoo\z", ["foo"], ["xfoo"]),
        ("a^b|a$b", [], ["ab"]),
        ("(?i)FOO.*", ["foox", "FoO"], ["bar"]),
        ("(?i:F)oo", ["foo", "Foo"], ["fOo"]),
        ("((?i)f)oo", ["Foo"], ["FOO"]),
        ("(?i)[a-c]+", ["aBC"], ["d"]),
        ("(?i-i:x)(?i)y", ["xY"], ["Xy"]),
        (r"\w+\.\d*", ["a_b.", "x.12"], ["x-"]),
        (r"\D\S\W", ["ab-"], ["1b-", "abc"]),
        (r".*\bfoo\b.*", ["a-foo-b", "foo"], ["afoo", "foo_"]),
        (r"a\Bb", ["ab"], ["a-b"]),
        ("[^a-c]+", ["xyz"], ["xaz"]),
        ("[]a]+", ["a"], ["b"]),
        ("[a-]+", ["a-"], ["b"]),
        ("[a-c-e]+", ["a-e"], ["d"]),
        (r"[\d.\-]+", ["1.2-3"], ["a"]),
        ("[[:alpha:]-]+", ["a-b"], ["a1"]),
        ("[[:^digit:]]+", ["a-b"], ["a1"]),
        (r"\Qa.b\E+", ["a.b", "a.bbb"], ["axb"]),
        (r"\Qa.b", ["a.b"], ["axb"]),
        ("(a|b)*c?", ["", "abab", "abc"], ["cc"]),
        ("(?P<name>a)(?<other>b)(?:c)", ["abc"], ["ab"]),
        ("a{,2}", ["a{,2}"], ["a", "aa"]),
        ("a{2}b{1,}c{0}", ["aab", "aabb"], ["aabc", "ab"]),
        ("x{", ["x{"], ["x"]),
        ("a+?b*?", ["aa", "ab"], ["b"]),
        (r"\p{Lu}\pL\P{L}", ["Ab1"], ["ab1", "Abc"]),
        (r"\p{^Lu}", ["a"], ["A"]),
        (r"\x61\x{62}\143\056", ["abc."], ["abcx"]),
        ("(|a)+", ["", "aaa"], ["b"]),
        ("(a*)*b", ["b", "aaab"], ["a"]),
        ("täst|test", ["test"], ["tst"]),
        ("(?s)(?m)(?U)a.", ["ab"], ["a"]),
        ("(" * 200 + "a" + ")" * 200, ["a"], [""]),
        ("a\0b", [], ["a", "ab"]),
        ("[^x]{500}|b", ["a" * 500, "b"], ["a" * 499]),
    ],
)
def test_matching(pattern, matching, others):
    assert matching_names(pattern, [*matching, *others], "Pattern") == set(matching)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "a)", "[a", "[", "a**", "a+*", "a{2}{3}", "*a", "|*", "a{2}*"),
        *("{2}", "a{1001}", "a{3,2}"),
        *("[b-a]", "[[:foo:]]", r"[a-\w]"),
        *("(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", r"(a)\1", "(?z)", "(?P<a", "(?P<a-b>c)", "(?i"),
        *("\\", r"\y", r"\x", r"\xg1", r"\x{}", r"\p", r"\p{Nonsense}", r"\pX", r"\8"),
        *("a" * 5000, r"(\pL?){1000}b", "(((x{1000}){1000}){1000})", "(((){1000}){1000}){1000}"),
        *("\ud800", "a\udcffb", "a\0("),
    ],
)
def test_refusals(pattern):
    with pytest.raises(KafkaError) as refused:
        matching_names(pattern, ["a"], "Pattern")
    assert refused.value.code is ErrorCode.invalid_regular_expression
    assert refused.value.message is not None
    assert refused.value.message.startswith(f"Pattern `{pattern[:100]}")


atoms = st.sampled_from(["a", "b", "-", ".", "[ab]", "[^a]", r"\w", r"\.", "(a|b-)", "(?:ab)", "(|b)"])
pieces = st.builds(str.__add__, atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}", "{1,}"]))
patterns = st.lists(pieces, max_size=5).map("".join)
alternatives = st.lists(patterns, min_size=1, max_size=3).map("|".join)


@given(pattern=alternatives, topics=st.lists(st.text("ab-.", max_size=6), max_size=8))
def test_agrees_with_a_backtracking_engine(pattern, topics):
    matching = {topic for topic in topics if re.fullmatch(pattern, topic)}
    assert matching_names(pattern, topics, "Pattern") == matching


@given(pattern=st.text("ab(){}[]*+?|\\^$.,-0123:<>=!PQEpxdw", max_size=30), topic=st.text("ab-.", max_size=9))
def test_any_text_is_matched_or_refused(pattern, topic):
    with contextlib.suppress(KafkaError):
        matching_names(pattern, [topic], "Pattern")


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(a|aa)+-", "(.*)*x", "((a?){20}){20}b", "(.*a){50}"]
)
def test_patterns_that_blow_up_a_backtracking_engine_do_not(pattern):
    matching_names(pattern, ["a" * length for length in range(200, 249)], "Pattern")
