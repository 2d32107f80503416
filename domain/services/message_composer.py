"""What a request says to the agent: mostly the user's words, sometimes with a line about what the user did instead."""

import hashlib
from collections import OrderedDict

import msgspec

from domain.model.instructions import Instruction, with_instruction
from domain.model.lane import LaneKey
from domain.model.turn import Continues, TurnRequest, UserMessage
from domain.model.turn_record import History

# Conversations of which is remembered what was said, and user messages in each.
_CONVERSATIONS = 10_000
_MESSAGES = 200


class _History:
    """In one conversation; only digests and ids."""

    def __init__(self) -> None:
        self.last_message_digest = b""
        self.user_message_ids: OrderedDict[str, None] = OrderedDict()


class MessageComposer:
    """Agents do not forget, so what a stateless model is simply sent again has to be said in words here."""

    def __init__(self) -> None:
        self._said: OrderedDict[LaneKey, _History] = OrderedDict()

    def compose(self, request: TurnRequest, said: History | None = None) -> UserMessage:
        """What to deliver for this request. `said`: before it, if that is known from elsewhere."""
        known = said or self._said.get(request.lane) or History()
        if request.continues is Continues.YES or (
            request.continues is Continues.PERHAPS and known.last_message_digest == digest_of(request.message)
        ):
            return UserMessage(Instruction.GO_ON)
        if request.user_message_id in known.user_message_ids:
            text = with_instruction(Instruction.ANOTHER_ANSWER, request.message.text)
            return msgspec.structs.replace(request.message, text=text)
        return request.message

    def delivered(self, request: TurnRequest) -> None:
        """Remember that the agent has it."""
        if request.ephemeral:
            return
        said = self._said.setdefault(request.lane, _History())
        self._said.move_to_end(request.lane)
        said.last_message_digest = digest_of(request.message)
        if request.user_message_id is not None:
            said.user_message_ids[request.user_message_id] = None
            if len(said.user_message_ids) > _MESSAGES:
                said.user_message_ids.popitem(last=False)
        if len(self._said) > _CONVERSATIONS:
            self._said.popitem(last=False)


def digest_of(message: UserMessage) -> bytes:
    """What is remembered of the words."""
    return hashlib.sha256(message.text.encode("utf-8", "surrogatepass")).digest()
