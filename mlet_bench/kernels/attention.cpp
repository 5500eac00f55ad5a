// AutoInt's self-attention between the fields of a batch row, behind its products with Q, K, V and the residual:
// ReLU(softmax(Q Kᵀ) V + R), and its backward pass. torch's batched products are for larger matrices than 21 by 8, and
// it copies the heads apart before them and together after them.
//
// A batch row is worked on by one thread, in a fixed order. All matrices are contiguous, row-major float32. parts is
// (B, F, 4, heads, D): Q, K, V and R. weights is (B, heads, F, P), the softmax's transpose, P being F rounded up to 16:
// the fields that ask lie beside each other in a vector, so that no operation goes across one.

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t ROUND = 16;  // floats that a row of weights is rounded up to: whole vectors
constexpr float LOWEST = -87.0f;  // exp of less is no normal float32

// exp(x) for LOWEST <= x <= 0, to 2 units of the last bit: 2^n times a polynomial (Cephes, expf).
inline Vec<LANES> exp_of(Vec<LANES> x) {
  typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
  const Ints n = __builtin_convertvector(x * 1.44269504f - 0.5f, Ints);  // the nearest: x is not above 0
  const Vec<LANES> whole = __builtin_convertvector(n, Vec<LANES>);
  const Vec<LANES> r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  Vec<LANES> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return Vec<LANES>((n + 127) << 23) * (p * r * r + r + 1.0f);
}

// The rows of one of the four parts of a head lie ``stride`` apart.
struct Head {
  const float *q, *k, *v, *r;
  int64_t stride;
};

// columns (D, P) = rows (F, D) transposed, zeros beyond F.
template <int D>
void transpose(const float* rows, int64_t stride, int64_t F, int64_t P, float* columns) {
  std::fill(columns, columns + D * P, 0.0f);
  for (int64_t f = 0; f < F; ++f)
    for (int c = 0; c < D; ++c) columns[c * P + f] = rows[f * stride + c];
}

// out (F, P) = rows (F, D) times columns (D, P).
template <int D>
void product(const float* rows, int64_t stride, const float* columns, int64_t F, int64_t P, float* out) {
  for (int64_t i = 0; i < P; i += LANES) {
    Vec<LANES> values[D];
    for (int c = 0; c < D; ++c) values[c] = load<LANES>(columns + c * P + i);
    for (int64_t j = 0; j < F; ++j) {
      Vec<LANES> sum = {};
      for (int c = 0; c < D; ++c) sum += rows[j * stride + c] * values[c];
      store<LANES>(out + j * P + i, sum);
    }
  }
}

// columns (D, P) = rows (F, D) transposed, times matrix (F, P).
template <int D>
void product_of_transposed(const float* rows, int64_t stride, const float* matrix, int64_t F, int64_t P,
                           float* columns) {
  for (int64_t i = 0; i < P; i += LANES) {
    Vec<LANES> sums[D] = {};
    for (int64_t j = 0; j < F; ++j) {
      const Vec<LANES> values = load<LANES>(matrix + j * P + i);
      for (int c = 0; c < D; ++c) sums[c] += rows[j * stride + c] * values;
    }
    for (int c = 0; c < D; ++c) store<LANES>(columns + c * P + i, sums[c]);
  }
}

// out (F, D) = matrix (F, P) times rows (F, D); the rows of both are ``stride`` apart.
template <int D>
void product_with_rows(const float* matrix, const float* rows, int64_t stride, int64_t F, int64_t P,
                       float* out) {
  for (int64_t j = 0; j < F; ++j) {
    Vec<D> even = {}, odd = {};  // two sums, so that one need not wait for the other
    int64_t i = 0;
    for (; i + 2 <= F; i += 2) {
      even += matrix[j * P + i] * load<D>(rows + i * stride);
      odd += matrix[j * P + i + 1] * load<D>(rows + (i + 1) * stride);
    }
    if (i < F) even += matrix[j * P + i] * load<D>(rows + i * stride);
    store<D>(out + j * stride, even + odd);
  }
}

// Each column of s (F, P) becomes its softmax.
void softmax(float* s, int64_t F, int64_t P) {
  for (int64_t i = 0; i < P; i += LANES) {
    Vec<LANES> most = load<LANES>(s + i), sum = {};
    for (int64_t j = 1; j < F; ++j) {
      const Vec<LANES> values = load<LANES>(s + j * P + i);
      most = values > most ? values : most;
    }
    for (int64_t j = 0; j < F; ++j) {
      const Vec<LANES> below = load<LANES>(s + j * P + i) - most;
      const Vec<LANES> values = exp_of(below > LOWEST ? below : Vec<LANES>{} + LOWEST);
      sum += values;
      store<LANES>(s + j * P + i, values);
    }
    const Vec<LANES> factor = 1.0f / sum;
    for (int64_t j = 0; j < F; ++j) store<LANES>(s + j * P + i, load<LANES>(s + j * P + i) * factor);
  }
}

// slopes (F, P), of the softmax's result, become those of what it was taken of.
void softmax_back(const float* weights, int64_t F, int64_t P, float* slopes) {
  for (int64_t i = 0; i < P; i += LANES) {
    Vec<LANES> sum = {};
    for (int64_t j = 0; j < F; ++j) sum += load<LANES>(weights + j * P + i) * load<LANES>(slopes + j * P + i);
    for (int64_t j = 0; j < F; ++j) {
      const Vec<LANES> value = load<LANES>(weights + j * P + i) * (load<LANES>(slopes + j * P + i) - sum);
      store<LANES>(slopes + j * P + i, value);
    }
  }
}

// columns: room for (D, P).
template <int D>
void attend_head(const Head& head, int64_t F, int64_t P, int64_t width, float* columns, float* weights, float* out) {
  transpose<D>(head.q, head.stride, F, P, columns);
  product<D>(head.k, head.stride, columns, F, P, weights);
  softmax(weights, F, P);
  product_of_transposed<D>(head.v, head.stride, weights, F, P, columns);
  for (int64_t i = 0; i < F; ++i)
    for (int c = 0; c < D; ++c)
      out[i * width + c] = std::max(columns[c * P + i] + head.r[i * head.stride + c], 0.0f);
}

// columns: room for (D, P); slopes: for (F, P).
template <int D>
void attend_back_head(const Head& head, const float* weights, const float* out, const float* grad, int64_t F, int64_t P,
                      int64_t width, float* columns, float* slopes, float* of_q, float* of_k, float* of_v,
                      float* of_r) {
  const int64_t stride = head.stride;
  for (int64_t i = 0; i < F; ++i)
    for (int c = 0; c < D; ++c) of_r[i * stride + c] = out[i * width + c] > 0 ? grad[i * width + c] : 0.0f;
  product_with_rows<D>(weights, of_r, stride, F, P, of_v);
  transpose<D>(of_r, stride, F, P, columns);
  product<D>(head.v, stride, columns, F, P, slopes);
  softmax_back(weights, F, P, slopes);
  product_with_rows<D>(slopes, head.q, stride, F, P, of_k);
  product_of_transposed<D>(head.k, stride, slopes, F, P, columns);
  for (int64_t i = 0; i < F; ++i)
    for (int c = 0; c < D; ++c) of_q[i * stride + c] = columns[c * P + i];
}

// Calls f with D as a constant that the compiler sees; false if there is no code for this one.
template <class F>
bool with_dim(int64_t dim, const F& f) {
  switch (dim) {
    case 4: f(std::integral_constant<int, 4>()); return true;
    case 8: f(std::integral_constant<int, 8>()); return true;
    case 16: f(std::integral_constant<int, 16>()); return true;
    case 32: f(std::integral_constant<int, 32>()); return true;
  }
  return false;
}

}  // namespace

extern "C" {

// out (B, F, heads, D) and weights of parts.
void attend(const float* parts, int64_t B, int64_t F, int64_t heads, int64_t dim, float* weights, float* out) {
  const int64_t width = heads * dim, P = (F + ROUND - 1) / ROUND * ROUND;
  at::parallel_for(0, B, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> columns(dim * P);
    for (int64_t at = begin * heads; at < end * heads; ++at) {
      const int64_t b = at / heads, h = at % heads;
      const float* q = parts + b * F * 4 * width + h * dim;
      with_dim(dim, [&](auto D) {
        attend_head<D>({q, q + width, q + 2 * width, q + 3 * width, 4 * width}, F, P, width,
                       columns.data(), weights + at * F * P, out + b * F * width + h * dim);
      });
    }
  });
}

// The gradient of parts, shaped as it, from that of out.
void attend_back(const float* parts, const float* weights, const float* out, const float* grad, int64_t B, int64_t F,
                 int64_t heads, int64_t dim, float* of_parts) {
  const int64_t width = heads * dim, P = (F + ROUND - 1) / ROUND * ROUND;
  at::parallel_for(0, B, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> columns(dim * P), slopes(F * P);
    for (int64_t at = begin * heads; at < end * heads; ++at) {
      const int64_t b = at / heads, h = at % heads;
      const int64_t first = b * F * 4 * width + h * dim, place = b * F * width + h * dim;
      const float* q = parts + first;
      float* of_q = of_parts + first;
      with_dim(dim, [&](auto D) {
        attend_back_head<D>({q, q + width, q + 2 * width, q + 3 * width, 4 * width}, weights + at * F * P, out + place,
                            grad + place, F, P, width, columns.data(), slopes.data(), of_q, of_q + width,
                            of_q + 2 * width, of_q + 3 * width);
      });
    }
  });
}

}  // extern "C"
