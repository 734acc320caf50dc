"""The model of a sequence of calls: what is true after each of them."""

from torch import Tensor

from verification.cases import Call, TensorSpec
from verification.references.laws.enclosure import Enclosure, total
from verification.references.laws.law import Enclosures
from verification.trials.trial import Trial

Tensors = dict[str, Tensor]


class Model:
    """A right layer seen from outside: what it was given last, and the gradients it has summed.

    inputs, parameters: the tensors that the next call gets. sums: the enclosed gradients that the
    parameters' buffers hold, by name; a name that is missing stands for zeros.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.inputs = trial.inputs
        self.parameters = trial.parameters
        self.sums: Enclosures = {}
        self._parts: dict[str, list[Enclosure]] = {}
        self._latest: tuple[Tensors, Tensors, Enclosures] = {}, {}, {}

    def forward(self, call: Call) -> Enclosures:
        """The outputs; afterwards `inputs` are those of the call, or the case's own if it has
        none.
        """
        self.inputs = self._make(call.tensors) or self.trial.inputs
        outputs = self.trial.enclose_outputs(self.inputs, self.parameters)
        self._latest = self.inputs, self.parameters, outputs
        return outputs

    def cotangents(self, call: Call) -> Tensors:
        """The call's cotangents, of the latest outputs' shapes."""
        _, _, outputs = self._latest
        return {
            spec.name: self.trial.make(spec, tuple(outputs[spec.name].value.shape)).tensor
            for spec in call.tensors
        }

    def backward(self, cotangents: Tensors) -> Enclosures:
        """The gradients of the latest forward; those of the parameters are added to `sums`."""
        inputs, parameters, _ = self._latest
        gradients = self.trial.enclose_gradients(inputs, parameters, cotangents)
        for name in parameters.keys() & gradients.keys():
            self._parts.setdefault(name, []).append(gradients[name])
            self.sums[name] = total(self._parts[name], self.trial.precision)
        return gradients

    def zero_grad(self) -> None:
        """Forget the sums."""
        self._parts, self.sums = {}, {}

    def set_parameters(self, call: Call) -> Tensors:
        """The call's parameters, which the next forward will use."""
        self.parameters = self._make(call.tensors)
        return self.parameters

    def _make(self, specs: tuple[TensorSpec, ...]) -> Tensors:
        return {spec.name: self.trial.make(spec).tensor for spec in specs}
