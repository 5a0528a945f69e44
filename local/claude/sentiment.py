"""The sentiment of a text: positive, negative or neutral, from lists of words."""

from __future__ import annotations

from typing import Literal

type Sentiment = Literal["positive", "negative", "neutral"]

_GOOD_WORDS = """
    amazing awesome beautiful best better brilliant charming comfortable comfy cozy cosy delicious delight delighted
    delightful durable easy effortless elegant enjoy enjoyed enjoyable excellent exceeded fantastic flawless flawlessly
    generous gorgeous good grateful great happy helpful impressed impressive improved incredible intuitive liked love
    loved lovely loves nice outstanding perfect perfectly pleasant pleased polite positive premium quick recommend
    recommended reliable responsive satisfied smooth smoothly solid splendid stunning sturdy super superb terrific thank
    thanks thrilled wonderful worth wow
"""
_BAD_WORDS = """
    annoyed annoying angry awful bad badly bitter boring break breaks broke broken bug bugs cheaply complaint cracked
    crash crashes damaged defective died disappointed disappointing disappointment disgusting dirty dreadful fail failed
    fails failure fake faulty flimsy frustrated frustrating garbage hate hated horrible horrid ignored inferior junk lacks
    late leaked leaking leaks lousy mediocre misleading mistake negative noisy overpriced painful pathetic poor poorly
    refund refuse regret ripped ripoff rude rusty scam scratched shoddy sick slow smelly stopped struggle stuck terrible
    trash ugly uncomfortable unhappy unhelpful unreliable unusable upset useless waste wasted weak worse worst worthless
    wrong
"""
_NEGATING_WORDS = "not no never isn't wasn't don't doesn't didn't won't can't couldn't hardly without aren't"

_GOOD, _BAD = frozenset(_GOOD_WORDS.split()), frozenset(_BAD_WORDS.split())
_NEGATING = frozenset(_NEGATING_WORDS.split())
_NOTED = _GOOD | _BAD | _NEGATING
_SPACED = str.maketrans(dict.fromkeys('.,;:!?()[]{}<>"/\\-*_#\u2014', " "))
_LONGEST = 600  # characters examined: enough for a verdict, and a bound on the cost of a long text
_REACH = 3  # words after a negation whose meaning it reverses


def judge(text: str) -> Sentiment:
    """The sentiment of a text; as many good words as bad ones, or none of either, is neutral."""
    words = _words(text)
    score, turned_until = 0, -1
    for place, word in [(place, word) for place, word in enumerate(words) if word in _NOTED]:
        if word in _NEGATING:
            turned_until = place + _REACH
        else:
            score += 1 if (word in _GOOD) is (place > turned_until) else -1
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def telling(text: str) -> list[str]:
    """The words by which it is judged, each once, in the order of the text."""
    return list(dict.fromkeys(word for word in _words(text) if word in _GOOD or word in _BAD))


def _words(text: str) -> list[str]:
    return text[:_LONGEST].lower().replace("\u2019", "'").translate(_SPACED).split()
