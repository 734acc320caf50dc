"""The numerical side against the analytic one: from points and lines to verdicts on tensors."""
