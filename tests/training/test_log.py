"""A log holds what was written whole, wherever it was cut off."""

from __future__ import annotations

from sensorkd.training.log import TrainingLog


def test_records_come_back_in_order(tmp_path):
    log = TrainingLog(tmp_path / "metrics.jsonl")
    assert log.records() == []
    log.begin()
    log.write({"step": 1, "label": 0.5})
    log.write({"step": 2})
    assert log.records() == [{"step": 1, "label": 0.5}, {"step": 2}]
    log.begin()
    assert log.records() == []


def test_a_record_that_was_cut_off_is_lost_and_no_other(tmp_path):
    log = TrainingLog(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        log.write({"step": step})
    whole = log.path.read_bytes()
    for size in range(len(whole)):
        log.path.write_bytes(whole[:size])
        log.write({"step": 3})
        steps = [record["step"] for record in log.records()]
        assert steps[-1] == 3 and steps[:-1] == [1, 2][: len(steps) - 1]
        assert len(steps) - 1 >= whole[:size].count(b"\n")


def test_a_flipped_byte_costs_its_own_record(tmp_path):
    log = TrainingLog(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        log.write({"step": step})
    content = bytearray(log.path.read_bytes())
    content[content.index(b"2")] = 0xFF
    log.path.write_bytes(content)
    assert log.records() == [{"step": 1}, {"step": 3}]


def test_a_log_is_taken_back_to_an_epoch(tmp_path):
    log = TrainingLog(tmp_path / "metrics.jsonl")
    told = [{"teacher": {}}, {"epoch": 1, "step": 5}, {"epoch": 2, "step": 10}, {"final": "averaged"}]
    for record in told:
        log.write(record)
    log.back_to(2)
    assert log.records() == told[:3], "what the last epoch led to will be told again"
    log.back_to(1)
    assert log.records() == told[:2]
    log.back_to(0)
    assert log.records() == told[:1]
