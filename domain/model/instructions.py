"""What this service itself says to an agent, on a line of its own: what the user did instead of writing."""

from enum import StrEnum


class Instruction(StrEnum):
    """Each as it is said."""

    ANOTHER_ANSWER = "(The user asks for another answer to this message.)"
    GO_ON = "(The user asks you to continue your last answer.)"


def with_instruction(aside: Instruction, text: str) -> str:
    """The line, and then what the user wrote."""
    return f"{aside}\n{text}"


def read_instructions(text: str) -> tuple[frozenset[Instruction], str]:
    """What is said before the user's words, and those words."""
    found, start = set(), 0
    while aside := next((each for each in Instruction if text.startswith(f"{each}\n", start)), None):
        found.add(aside)
        start += len(aside) + 1
    rest = text[start:]
    if (last := next((each for each in Instruction if rest == each), None)) is not None:
        return frozenset({*found, last}), ""
    return frozenset(found), rest
