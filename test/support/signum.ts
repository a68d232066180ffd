/** An optimizer as users register it: Signum (Bernstein et al. 2018), with lines for dense gradients. */
export const SIGNUM = {
  class_name: "Signum",
  hyperparameters: {
    learning_rate: { default: 0.01, schedule: true },
    beta: { default: 0.9, minimum: 0, maximum: 1 },
  },
  slots: { velocity: { initial: 0 } },
  dense: ["velocity = beta * velocity + (1 - beta) * g", "w = w - learning_rate * sign(velocity)"],
};
/** The same with lines for sparse gradients. */
export const SPARSE_SIGNUM = {
  ...SIGNUM,
  sparse: {
    all: ["velocity = beta * velocity"],
    rows: ["velocity = velocity + (1 - beta) * g", "w = w - learning_rate * sign(velocity)"],
  },
};
