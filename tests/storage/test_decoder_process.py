"""What the decoder's process is to the one that asks, when it goes away."""

import time

import pytest

from storage.decoder_process import DecoderProcess, _Conversation


@pytest.mark.parametrize("turn", [lambda asked: asked.say({}), _Conversation.line])
def test_a_process_that_another_thread_ended_is_one_that_died(turn):
    process = DecoderProcess(128)
    conversation = _Conversation(process.start(), time.monotonic() + 20)
    process.end()
    with pytest.raises(EOFError):
        turn(conversation)
