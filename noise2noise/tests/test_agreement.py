"""Training by hand follows autograd's to rounding, and every planted fault leaves that path."""

import pytest
import torch

from noise2noise.agreement import REPLICAS, follow
from noise2noise.experiment import AGREEMENT_STEPS, Data, Settings, check_agreement, trainers
from noise2noise.network import FORMS
from noise2noise.photographs import CROP
from noise2noise.training import ScratchTrainer
from noise2noise.twin import TwinTrainer
from scratch_layers import MSELoss


def silent(name, steps):
    return lambda loss: None


@pytest.fixture(scope="module")
def data():
    return Data.load(Settings())


def settings(form="two"):
    # A quarter of the smoke run's batch, for a quarter of its time.
    return Settings(form=form, batch=8)


@pytest.mark.parametrize("form", FORMS)
def test_parameters_agree_after_every_one_of_fifty_steps(form, data):
    agreement = check_agreement(settings(form), data, silent)
    assert agreement.ok, str(agreement)
    assert agreement.steps == AGREEMENT_STEPS == 50
    # Not because nothing was learned, or nothing compared.
    assert agreement.difference > 0


class ReorderedTrainer(TwinTrainer):
    """A right training with another order of summation: the samples reversed."""

    def step(self, noisy, target):
        return super().step(noisy.flip(0), target.flip(0))


class SummedTrainer(ScratchTrainer):
    """A right training with the report's summed loss, and the learning rate that belongs to it."""

    def __init__(self, network, lr, momentum):
        super().__init__(network, lr / (settings().batch * 3 * CROP * CROP), momentum)
        self.loss = MSELoss("sum")


class WithoutMomentum(ScratchTrainer):
    def __init__(self, network, lr, momentum):
        super().__init__(network, lr, 0.0)


class WithoutZeroGrad(ScratchTrainer):
    def step(self, noisy, target):
        loss = self.loss(self.network(noisy), target)
        self.network.backward(self.loss.backward())
        self.optimizer.step()
        return loss.item()


class MeanOverTheBatch(ScratchTrainer):
    """The last bias has its gradient divided by the batch; everything else is right."""

    def step(self, noisy, target):
        self.optimizer.zero_grad()
        loss = self.loss(self.network(noisy), target)
        self.network.backward(self.loss.backward())
        self.network.parameters()[-1].grad.div_(len(noisy))
        self.optimizer.step()
        return loss.item()


class RoundedToSingle(ScratchTrainer):
    """The loss's gradient has passed through float32."""

    def step(self, noisy, target):
        self.optimizer.zero_grad()
        loss = self.loss(self.network(noisy), target)
        self.network.backward(self.loss.backward().float().double())
        self.optimizer.step()
        return loss.item()


def followed(subject_class, data):
    """Follow a subject of this class, built on the weights of the training by hand."""
    chosen = settings()
    right, (reference, *replicas) = trainers(chosen, torch.float64, 1 + REPLICAS)
    if issubclass(subject_class, TwinTrainer):
        network = trainers(chosen, torch.float64, 1)[1][0].network
    else:
        network = right.network
    subject = subject_class(network, chosen.lr, chosen.momentum)
    pairs = data.pairs(chosen, torch.float64)
    return follow(subject, reference, replicas, pairs, AGREEMENT_STEPS, lambda loss: None)


@pytest.mark.parametrize("right", [ReorderedTrainer, SummedTrainer])
def test_the_same_training_computed_otherwise_is_no_fault(right, data):
    agreement = followed(right, data)
    assert agreement.ok, str(agreement)


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        (MeanOverTheBatch, 1),
        (RoundedToSingle, 1),
        # The first step has neither an earlier gradient nor a momentum.
        (WithoutZeroGrad, 2),
        (WithoutMomentum, 2),
    ],
)
def test_a_fault_is_seen_in_the_first_step_that_it_touches(fault, step, data):
    agreement = followed(fault, data)
    assert not agreement.ok
    assert agreement.step == agreement.steps == step
    assert str(agreement).startswith(f"beyond the bound for rounding in {step} step")


def test_a_training_that_is_not_finite_does_not_agree(data):
    class Broken(ScratchTrainer):
        def step(self, noisy, target):
            loss = super().step(noisy, target)
            self.network.parameters()[0].data[0, 0, 0, 0] = float("nan")
            return loss

    agreement = followed(Broken, data)
    assert not agreement.ok
    assert (agreement.parameter, agreement.step) == ("0.weight", 1)
