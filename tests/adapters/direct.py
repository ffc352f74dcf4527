"""Parameters of a model that no engine holds, for the hooks of a method."""


class Direct:
    """Each parameter is what it is, and so is its gradient."""

    def gradient(self, parameter):
        return parameter.grad.clone()

    def set_gradient(self, parameter, gradient):
        parameter.grad = gradient

    def value(self, parameter):
        return parameter.detach().clone()

    def set_value(self, parameter, value):
        parameter.data.copy_(value)
