/*
 * The rival without a sandbox: the same loops in C, compiled when the benchmark starts, for all vector units of this
 * machine. Multiplication and addition are not contracted (see native.ts), so results equal ours bit for bit.
 */
#include <math.h>
#include <stdint.h>

void sgd(float *restrict w, const float *restrict g, int64_t n, float lr) {
  for (int64_t i = 0; i < n; i++) w[i] = w[i] - lr * g[i];
}

void momentum(float *restrict w, const float *restrict g, float *restrict a, int64_t n, float lr, float mu) {
  for (int64_t i = 0; i < n; i++) {
    a[i] = mu * a[i] - lr * g[i];
    w[i] = w[i] + a[i];
  }
}

void adam(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, int64_t n, float alpha,
          float one_minus_beta_1, float one_minus_beta_2, float epsilon) {
  for (int64_t i = 0; i < n; i++) {
    m[i] = m[i] + (g[i] - m[i]) * one_minus_beta_1;
    v[i] = v[i] + (g[i] * g[i] - v[i]) * one_minus_beta_2;
    w[i] = w[i] - m[i] * alpha / (sqrtf(v[i]) + epsilon);
  }
}

void adagrad(float *restrict w, const float *restrict g, float *restrict a, int64_t n, float lr, float epsilon) {
  for (int64_t i = 0; i < n; i++) {
    a[i] = a[i] + g[i] * g[i];
    w[i] = w[i] - g[i] * lr / (sqrtf(a[i]) + epsilon);
  }
}

/* Sum of squares in double precision, sixteen lanes at a time. Squares are rounded to float32, as ours are. */
double sum_of_squares(const float *restrict x, int64_t n) {
  double lane[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)(x[i + k] * x[i + k]);
  double total = 0;
  for (int k = 0; k < 16; k++) total += lane[k];
  for (; i < n; i++) total += (double)(x[i] * x[i]);
  return total;
}
