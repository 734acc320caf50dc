"""Write down what gradcheck is today: `python -m verification.meta.gradients` (see ``today``)."""

from verification.meta.gradients.today import write

write()
