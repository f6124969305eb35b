from sam3_hf.video.register import Register


def test_ids_are_given_once() -> None:
    register = Register()
    first = register.add(0.9, 0)
    register.forget(first)
    assert register.add(0.8, 0) == first + 1
    assert first in register.removed


def test_what_the_user_clicks_is_not_doubted_again() -> None:
    register = Register()
    number = register.add(0.9, 2)
    register.removed.add(number)
    register.clicked(number, -1)
    assert number not in register.removed
    assert (register.score[number], register.phrase[number]) == (1.0, 2)
    register.clicked(50, -1)
    assert (register.highest_id, register.phrase[50]) == (50, -1)


def test_an_endless_stream_does_not_fill_the_register() -> None:
    register = Register()
    for frame in range(6000):
        number = register.add(0.9, 0)
        register.first_frame[number] = frame
        register.unmatched_frames[number] = [frame]
        register.unmatched_frames.setdefault(0, []).append(frame)
        register.removed.add(number)
        register.prune()
    assert len(register.score) < 5000
    assert len(register.removed) < 5000
    assert len(register.unmatched_frames) <= 1
