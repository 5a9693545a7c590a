"""A teacher: the same answer every time, under each view's own statistics, with all that was logged."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.teacher import Teacher, view_statistics
from sensorkd.errors import ConfigError
from sensorkd.models.layered import LayeredStudent
from sensorkd.training.inference import recompute_norms

VIEWS = [0, 3, 2]
PRESENCE = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]]).float()


class Windows:
    """Forty windows as a dataset gives them, with a level in `heat` that turns over when it is mirrored."""

    def __init__(self, count=40):
        generator = torch.Generator().manual_seed(1)
        self.inputs = {
            "shake": torch.randn(count, 24, 3, generator=generator) + 2,
            "heat": torch.randn(count, 12, 1, generator=generator) * 0.1 + 3,
            "camera": torch.rand(count, 4, 8, 8, 1, generator=generator),
        }
        self.presence = (torch.rand(count, 3, generator=generator) < 0.8).float()

    def __len__(self):
        return len(self.presence)

    def __getitem__(self, index):
        return {name: x[index] for name, x in self.inputs.items()} | {
            "presence": self.presence[index],
            "label": torch.tensor(0),
        }

    def batches(self, size=20):
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield {name: x[rows] for name, x in self.inputs.items()} | {"presence": self.presence[rows]}


@pytest.fixture
def rows(prepared, families):
    return transform_all(prepared, families, VIEWS)


@pytest.fixture
def moved(layered):
    """The network with running statistics that are not those it began with."""
    for module in layered.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return layered


def say(teacher, rows, presence=PRESENCE, hidden=None, views=VIEWS):
    presence = presence.repeat(len(views), 1)
    return teacher.say(rows, presence, presence if hidden is None else hidden, views=views)


def everything(output):
    heads = [head for heads in output.modality.values() for head in heads]
    return torch.cat([x.flatten() for x in (*heads, *output.fused, *output.projections, output.trunk.logits)])


def test_it_says_what_the_network_says_in_eval_mode(moved, rows):
    said = say(Teacher(moved), rows)
    network = moved.eval()
    with torch.no_grad():
        expected = network(rows, PRESENCE.repeat(3, 1))
    torch.testing.assert_close(said.trunk.logits, expected.trunk.logits)
    for mine, theirs in zip(
        said.fused + said.projections, expected.fused + expected.projections, strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(said.trunk.embedding, expected.trunk.embedding)


def test_rows_are_those_of_a_student_in_training(moved, rows):
    """A modality speaks of the windows that have it, and in the same order."""
    said = say(Teacher(moved), rows)
    learned = moved.train().by_view(rows, PRESENCE.repeat(3, 1), PRESENCE.repeat(3, 1), views=3)
    for name in moved.student.modalities:
        mine, theirs = said.trunk.rows[name], learned.trunk.rows[name]
        assert (mine is None) == (theirs is None)
        assert mine is None or torch.equal(mine, theirs)
        assert [len(head) for head in said.modality[name]] == [len(head) for head in learned.modality[name]]
    assert said.trunk.rows["heat"] is None, "every window has it"


def test_its_answer_has_no_chance_no_gradient_and_no_memory(make_layered, rows):
    layered = make_layered(dropout=0.5)
    teacher = Teacher(layered)
    before = copy.deepcopy(teacher.network.state_dict())
    first, second = everything(say(teacher, rows)), everything(say(teacher, rows))
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.network.state_dict().items())
    assert all(parameter.requires_grad for parameter in layered.parameters()), "the network is copied"


def test_a_window_has_the_same_verdict_in_whatever_company(moved, rows, prepared):
    """Unlike a network that normalises by the batch."""
    together = say(Teacher(moved), rows)
    alone = {name: x[2:3] for name, x in rows.items()}
    single = Teacher(moved).say(alone, PRESENCE[2:3], PRESENCE[2:3], views=[0])
    torch.testing.assert_close(single.trunk.logits[0], together.trunk.logits[2])


def test_frontends_are_never_run(moved, rows, monkeypatch):
    for frontend in moved.student.frontends.values():
        monkeypatch.setattr(frontend, "forward", lambda _: pytest.fail("prepared floats came already"))
    say(Teacher(moved), rows)


def test_what_is_hidden_from_the_student_is_not_hidden_from_the_teacher(moved, rows):
    hidden = PRESENCE.repeat(3, 1)
    hidden[:, 0] = 0
    full, blinded = say(Teacher(moved), rows), say(Teacher(moved), rows, hidden=hidden)
    assert torch.equal(everything(full), everything(blinded))


def test_what_was_not_logged_changes_nothing(moved, rows):
    noise = dict(rows)
    noise["shake"] = rows["shake"].clone()
    noise["shake"][1] = 99.0  # the second window has no vibration
    torch.testing.assert_close(everything(say(Teacher(moved), noise)), everything(say(Teacher(moved), rows)))


def test_statistics_are_those_of_one_view_of_all_windows(moved, families):
    """By hand: the first norm of an encoder sees the first convolution of the transformed windows."""
    windows = Windows()
    found = view_statistics(moved, windows.batches(), families)
    assert len(found) == moved.transforms == 4
    first = moved.student.encoder("heat").stages["stage1"][0]
    for view, statistics in enumerate(found):
        means, variances = [], []
        for batch in windows.batches():
            x = moved.student.frontends["heat"](batch["heat"][batch["presence"][:, 1] > 0])
            values = first(families["heat"][view % 3].apply(x)).transpose(0, 1).flatten(1)
            means.append(values.mean(dim=1))
            variances.append(values.var(dim=1))
        where = "student.encoders.heat.stages.stage1.1"
        torch.testing.assert_close(statistics[f"{where}.running_mean"], torch.stack(means).mean(dim=0))
        torch.testing.assert_close(statistics[f"{where}.running_var"], torch.stack(variances).mean(dim=0))


def test_statistics_of_the_identity_are_those_that_would_ship(moved, families):
    windows = Windows()
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(windows, batch_size=20, shuffle=True, generator=generator)
    found = view_statistics(moved, loader, families)
    shipped = copy.deepcopy(moved.student)
    recompute_norms(shipped, windows, batch_size=20)
    assert len(order) == 40
    for name, value in shipped.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(found[0][f"student.{name}"], value)


def test_the_network_is_left_as_it_is_and_nothing_is_taken_from_a_window_alone(moved, families):
    windows = Windows()
    windows.presence[:] = 0
    windows.presence[0] = 1
    before = copy.deepcopy(moved.state_dict())
    found = view_statistics(moved, windows.batches(), families)
    assert all(torch.equal(before[name], value) for name, value in moved.state_dict().items())
    for statistics in found:
        assert all(torch.equal(before[name], value) for name, value in statistics.items())


def test_each_view_is_judged_under_its_own_statistics(moved, rows, families):
    found = view_statistics(moved, Windows().batches(), families)
    said = say(Teacher(moved, found), rows)
    for number, view in enumerate(VIEWS):
        network = copy.deepcopy(moved).eval()
        network.load_state_dict({**network.state_dict(), **found[view]})
        part = slice(6 * number, 6 * number + 6)
        with torch.no_grad():
            expected = network({name: x[part] for name, x in rows.items()}, PRESENCE)
        torch.testing.assert_close(said.trunk.logits[part], expected.trunk.logits)
        torch.testing.assert_close(said.fused[0][part], expected.fused[0])


def test_with_them_it_names_the_transforms_that_it_was_trained_to_name(make_layered, families):
    """Trained view by view, as students are. Under running statistics, which mix views, it names fewer."""
    families = {**families, "heat": (*families["heat"][:2], families["shake"][2])}  # the level turns over
    layered, windows = make_layered(), Windows()
    windows.presence[:] = 1
    windows.inputs["heat"][:, 2:4] += 1  # early, and upwards
    (batch,) = windows.batches(size=40)
    views = [0, 1, 2]
    rows, presence = (
        transform_all(layered.student.prepare(windows.inputs), families, views),
        batch["presence"].repeat(3, 1),
    )
    target = torch.tensor(views).repeat_interleave(40)
    optimiser = torch.optim.Adam(layered.modality_auxiliaries["heat"].parameters(), lr=0.03)
    layered.train()
    with torch.no_grad():
        maps = [layered.student.encode("heat", rows["heat"][view * 40 : view * 40 + 40])[0] for view in views]
    for _ in range(40):
        head = torch.cat([layered.modality_auxiliaries["heat"]["stage1"](some) for some in maps])
        loss = F.cross_entropy(head.reshape(120, 3, 3).logsumexp(dim=1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def right(teacher):
        head = teacher.say(rows, presence, presence, views=views).modality["heat"][0]
        return float((head.reshape(120, 3, 3).logsumexp(dim=1).argmax(dim=1) == target).float().mean())

    own = right(Teacher(layered, view_statistics(layered, [batch], families)))
    assert own > 0.9
    assert right(Teacher(layered)) < own - 0.2


def test_without_auxiliaries_it_gives_verdicts_alone(moved, rows):
    said = say(Teacher(moved.without_auxiliaries()), rows)
    assert said.modality == {}
    assert said.fused == said.projections == []
    assert said.trunk.logits.shape == (18, 3)


def test_a_student_that_it_cannot_teach_is_refused(make_layered, layered):
    Teacher(make_layered(widths=(8, 16))).check(layered)
    deeper = make_layered(widths=(4, 6, 8))
    with pytest.raises(ConfigError, match="do not answer the same question") as caught:
        Teacher(deeper).check(layered)
    assert caught.value.found == {"stages": 3}
    assert caught.value.expected == {"stages": 2}
    Teacher(deeper.without_auxiliaries()).check(layered)
    other = LayeredStudent(layered.student, {**layered.families, "camera": 4})
    with pytest.raises(ConfigError, match="camera"):
        Teacher(layered).check(other)


def test_statistics_are_needed_of_every_view_or_none(layered):
    with pytest.raises(ValueError, match="4 views, got 1"):
        Teacher(layered, [{}])


def test_it_follows_the_student_to_another_device(moved, families):
    teacher = Teacher(moved, view_statistics(moved, Windows().batches(), families))
    teacher._follow(torch.device("meta"))
    assert {value.device.type for value in teacher.network.state_dict().values()} == {"meta"}
    assert {value.device.type for some in teacher.statistics for value in some.values()} == {"meta"}
    assert next(moved.parameters()).device.type == "cpu"
