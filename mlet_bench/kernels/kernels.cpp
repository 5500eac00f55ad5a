// The parts of a training step that torch has no fast operator for on a CPU: the lookup of MLET's rows with their
// product, its backward pass with the rows' update in place, by SGD or Adagrad, and DLRM's interaction in both directions.
//
// A field (or a batch row, for the interaction) is worked on by one thread, in a fixed order, so results do not depend
// on the number of threads. All matrices are contiguous, row-major float32; n, k, d, F, B as in the paper's notation,
// width = k for MLET and d for a single layer (w2 is null then).

#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t LINE = 16;  // floats a cache line
constexpr int64_t AHEAD = 16;  // rows prefetched before they are needed: the tables lie in memory, not in a cache
constexpr int BLOCK = 4;      // rows multiplied together: a vector of the matrix is loaded once for them

// d columns are worked on in tiles of at most two vectors, so that a block's sums fit the registers.
template <int D>
constexpr int N_OF = D < LANES ? D : LANES;
template <int D>
constexpr int TILE = D < 2 * N_OF<D> ? 1 : 2;

template <bool write>
void prefetch(const float* row, int64_t width) {
  for (int64_t i = 0; i < width; i += LINE) __builtin_prefetch(row + i, write, 3);
}

// out[r] = rows[r] w2 for R rows. w2: (k, D).
template <int R, int D>
void product(const float* const* rows, const float* w2, int64_t k, float* const* out) {
  constexpr int N = N_OF<D>, T = TILE<D>;
  for (int at = 0; at < D; at += T * N) {
    Vec<N> sums[R][T] = {};
    for (int64_t i = 0; i < k; ++i) {
      Vec<N> values[T];
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) values[t] = load<N>(w2 + i * D + at + t * N);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) sums[r][t] += rows[r][i] * values[t];
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) store<N>(out[r] + at + t * N, sums[r][t]);
  }
}

// grad_w2 += sum over R rows of rows[r]ᵀ grads[r]. grad_w2: (k, D).
template <int R, int D>
void outer(const float* const* rows, const float* const* grads, int64_t k, float* grad_w2) {
  constexpr int N = N_OF<D>, T = TILE<D>;
  for (int at = 0; at < D; at += T * N) {
    Vec<N> values[R][T];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) values[r][t] = load<N>(grads[r] + at + t * N);
    for (int64_t i = 0; i < k; ++i)
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        float* place = grad_w2 + i * D + at + t * N;
        Vec<N> sum = load<N>(place);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum += rows[r][i] * values[r][t];
        store<N>(place, sum);
      }
  }
}

// row[i...] += scale · grad w2ᵀ for M vectors. transposed: w2ᵀ, (D, k).
template <int M, int D>
void add_back_at(float* row, const float* grad, const float* transposed, int64_t k, float scale) {
  Vec<LANES> sums[M] = {};
  for (int c = 0; c < D; ++c)
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) sums[m] += grad[c] * load<LANES>(transposed + c * k + m * LANES);
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) store<LANES>(row + m * LANES, load<LANES>(row + m * LANES) + scale * sums[m]);
}

template <int D>
void add_back(float* row, const float* grad, const float* transposed, int64_t k, float scale) {
  int64_t i = 0;
  for (; i + 4 * LANES <= k; i += 4 * LANES) add_back_at<4, D>(row + i, grad, transposed + i, k, scale);
  for (; i + LANES <= k; i += LANES) add_back_at<1, D>(row + i, grad, transposed + i, k, scale);
  for (; i < k; ++i) {
    float sum = 0;
    for (int c = 0; c < D; ++c) sum += grad[c] * transposed[c * k + i];
    row[i] += scale * sum;
  }
}

// How rows are updated: by SGD, or with the sums of squares of their table, shaped as it, by Adagrad.
struct Update {
  float lr, eps;
  float* squares;  // of the whole table, null for SGD
};

// A row's step of Adagrad, whole: grad is the sum over its occurrences.
inline void adagrad(float* row, float* squares, const float* grad, int64_t width, const Update& update) {
  for (int64_t i = 0; i < width; ++i) {
    squares[i] += grad[i] * grad[i];
    row[i] -= update.lr * grad[i] / (std::sqrt(squares[i]) + update.eps);
  }
}

// The distinct ids of a batch: frequent categories come several times, and one product serves them all.
class Distinct {
 public:
  explicit Distinct(int64_t B) : slot(B), ids(B), mask_(std::bit_ceil(uint64_t(2 * B)) - 1), table_(mask_ + 1) {}

  // ids of one field: B of them, F apart.
  void find(const int32_t* field, int64_t B, int64_t F) {
    std::fill(table_.begin(), table_.end(), -1);
    count = 0;
    for (int64_t b = 0; b < B; ++b) {
      const int32_t id = field[b * F];
      uint64_t at = (uint32_t(id) * 0x9E3779B1u >> 7) & mask_;
      while (table_[at] >= 0 && ids[table_[at]] != id) at = (at + 1) & mask_;
      if (table_[at] < 0) {
        table_[at] = count;
        ids[count++] = id;
      }
      slot[b] = table_[at];
    }
  }

  std::vector<int32_t> slot;  // (B,) which distinct id each is, in order of first appearance
  std::vector<int32_t> ids;   // the first ``count`` count
  int32_t count = 0;

 private:
  uint64_t mask_;
  std::vector<int32_t> table_;
};

// vectors: room for (B, D).
template <int D>
void lookup_field(const float* table, const float* w2, const Distinct& distinct, int64_t B, int64_t F, int64_t k,
                  float* vectors, float* out) {
  const int64_t count = distinct.count;
  auto row = [&](int64_t u) { return table + distinct.ids[u] * k; };
  for (int64_t u = 0; u < std::min(AHEAD, count); ++u) prefetch<false>(row(u), k);
  for (int64_t u = 0; u < count; u += BLOCK) {
    const float* rows[BLOCK];
    float* outs[BLOCK];
    const int64_t together = std::min<int64_t>(BLOCK, count - u);
    for (int64_t r = 0; r < together; ++r) {
      if (u + r + AHEAD < count) prefetch<false>(row(u + r + AHEAD), k);
      rows[r] = row(u + r);
      outs[r] = vectors + (u + r) * D;
    }
    if (together == BLOCK)
      product<BLOCK, D>(rows, w2, k, outs);
    else
      for (int64_t r = 0; r < together; ++r) product<1, D>(rows + r, w2, k, outs + r);
  }
  for (int64_t b = 0; b < B; ++b) {
    const float* from = vectors + distinct.slot[b] * D;
    std::copy(from, from + D, out + b * F * D);
  }
}

// sums (count, d) = the gradient of each distinct id's vector.
void sum_gradients(const Distinct& distinct, const float* grad, int64_t B, int64_t F, int64_t d, float* sums) {
  std::fill(sums, sums + distinct.count * d, 0.0f);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t c = 0; c < d; ++c) sums[distinct.slot[b] * d + c] += grad[b * F * d + c];
}

// sums: room for (B, D); transposed: for (D + 1, k).
template <int D>
void update_field(float* table, const Update& update, const float* w2, const Distinct& distinct, const float* grad,
                  int64_t B, int64_t F, int64_t k, float* sums, float* transposed, float* grad_w2) {
  const int64_t count = distinct.count;
  auto row = [&](int64_t u) { return table + distinct.ids[u] * k; };
  auto squares = [&](int64_t u) { return update.squares + distinct.ids[u] * k; };
  float* of_row = transposed + D * k;
  sum_gradients(distinct, grad, B, F, D, sums);
  for (int64_t i = 0; i < k; ++i)
    for (int c = 0; c < D; ++c) transposed[c * k + i] = w2[i * D + c];
  if (grad_w2) std::fill(grad_w2, grad_w2 + k * D, 0.0f);
  for (int64_t u = 0; u < count; u += BLOCK) {
    const float* rows[BLOCK];
    const float* grads[BLOCK];
    const int64_t together = std::min<int64_t>(BLOCK, count - u);
    for (int64_t r = 0; r < together; ++r) {
      if (u + r + AHEAD < count) {
        prefetch<true>(row(u + r + AHEAD), k);
        if (update.squares) prefetch<true>(squares(u + r + AHEAD), k);
      }
      rows[r] = row(u + r);
      grads[r] = sums + (u + r) * D;
    }
    if (grad_w2) {  // of these rows as they were in the forward pass
      if (together == BLOCK)
        outer<BLOCK, D>(rows, grads, k, grad_w2);
      else
        for (int64_t r = 0; r < together; ++r) outer<1, D>(rows + r, grads + r, k, grad_w2);
    }
    for (int64_t r = 0; r < together; ++r) {
      if (!update.squares) {
        add_back<D>(row(u + r), grads[r], transposed, k, -update.lr);
        continue;
      }
      std::fill(of_row, of_row + k, 0.0f);
      add_back<D>(of_row, grads[r], transposed, k, 1.0f);
      adagrad(row(u + r), squares(u + r), of_row, k, update);
    }
  }
}

void copy_field(const float* table, const int32_t* ids, int64_t B, int64_t F, int64_t d, float* out) {
  auto row = [&](int64_t b) { return table + ids[b * F] * d; };
  for (int64_t b = 0; b < B; ++b) {
    if (b + AHEAD < B) prefetch<false>(row(b + AHEAD), d);
    std::copy(row(b), row(b) + d, out + b * F * d);
  }
}

void add_field(float* table, const int32_t* ids, const float* grad, int64_t B, int64_t F, int64_t d, float lr) {
  for (int64_t b = 0; b < B; ++b) {
    float* row = table + ids[b * F] * d;
    for (int64_t c = 0; c < d; ++c) row[c] -= lr * grad[b * F * d + c];
  }
}

// sums: room for (B, d).
void adagrad_field(float* table, const Update& update, const Distinct& distinct, const float* grad, int64_t B,
                   int64_t F, int64_t d, float* sums) {
  sum_gradients(distinct, grad, B, F, d, sums);
  for (int64_t u = 0; u < distinct.count; ++u) {
    const int64_t at = distinct.ids[u] * d;
    if (u + AHEAD < distinct.count) {
      const int64_t later = distinct.ids[u + AHEAD] * d;
      prefetch<true>(table + later, d);
      prefetch<true>(update.squares + later, d);
    }
    adagrad(table + at, update.squares + at, sums + u * d, d, update);
  }
}

// The dot products of the pairs j < i of [bottom; vectors of a batch row], (V, d), behind a copy of bottom in out.
// columns: room for the transposed, (d, P), P being V rounded up to whole vectors.
void interact_row(const float* bottom, const float* vectors, int64_t V, int64_t d, int64_t P, float* columns,
                  float* out) {
  for (int64_t c = 0; c < d; ++c) {
    columns[c * P] = bottom[c];
    for (int64_t v = 1; v < V; ++v) columns[c * P + v] = vectors[(v - 1) * d + c];
  }
  std::copy(bottom, bottom + d, out);
  out += d;
  for (int64_t i = 1; i < V; ++i) {
    const float* mine = vectors + (i - 1) * d;
    for (int64_t j = 0; j < i; j += LANES) {
      Vec<LANES> sums = {};
      for (int64_t c = 0; c < d; ++c) sums += mine[c] * load<LANES>(columns + c * P + j);
      if (j + LANES <= i)
        store<LANES>(out + j, sums);
      else
        for (int64_t lane = 0; lane < i - j; ++lane) out[j + lane] = sums[lane];
    }
    out += i;
  }
}

// With G the symmetric matrix of the pairs' gradients, its diagonal zero: grad_stacked = G stacked, and the gradient of
// the copied bottom output on top. symmetric: room for G, (Q, V), Q being V rounded up to whole blocks.
template <int D>
void interact_back_row(const float* bottom, const float* vectors, const float* grad, int64_t V, float* symmetric,
                       float* grad_bottom, float* grad_vectors) {
  constexpr int N = N_OF<D>, T = TILE<D>;
  const float* pairs = grad + D;
  for (int64_t i = 0; i < V; ++i) {
    symmetric[i * V + i] = 0;
    for (int64_t j = 0; j < i; ++j) symmetric[i * V + j] = symmetric[j * V + i] = *pairs++;
  }
  for (int64_t i = 0; i < V; i += BLOCK)
    for (int at = 0; at < D; at += T * N) {
      Vec<N> sums[BLOCK][T] = {};
      for (int64_t j = 0; j < V; ++j) {
        const float* from = (j ? vectors + (j - 1) * D : bottom) + at;
        Vec<N> values[T];
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) values[t] = load<N>(from + t * N);
#pragma GCC unroll 4
        for (int r = 0; r < BLOCK; ++r)
#pragma GCC unroll 2
          for (int t = 0; t < T; ++t) sums[r][t] += symmetric[(i + r) * V + j] * values[t];
      }
      for (int r = 0; r < std::min<int64_t>(BLOCK, V - i); ++r)
        for (int t = 0; t < T; ++t) {
          float* to = (i + r ? grad_vectors + (i + r - 1) * D : grad_bottom) + at + t * N;
          store<N>(to, i + r ? sums[r][t] : sums[r][t] + load<N>(grad + at + t * N));
        }
    }
}

// Calls f with d as a constant that the compiler sees; false if there is no code for this d.
template <class F>
bool with_dim(int64_t d, const F& f) {
  switch (d) {
    case 1: f(std::integral_constant<int, 1>()); return true;
    case 4: f(std::integral_constant<int, 4>()); return true;
    case 8: f(std::integral_constant<int, 8>()); return true;
    case 16: f(std::integral_constant<int, 16>()); return true;
    case 32: f(std::integral_constant<int, 32>()); return true;
    case 64: f(std::integral_constant<int, 64>()); return true;
    case 128: f(std::integral_constant<int, 128>()); return true;
  }
  return false;
}

}  // namespace

extern "C" {

// out (B, F, d) = the vectors of ids (B, F). starts: (F + 1,) first row of each field in weight (sum n, width), and
// the end of the last. Returns -1, or the first place in ids whose id is not in its table: then out is not written.
int64_t lookup(const float* weight, const float* w2, const int32_t* ids, const int64_t* starts, int64_t B, int64_t F,
               int64_t width, int64_t d, float* out) {
  for (int64_t b = 0; b < B; ++b)
    for (int64_t f = 0; f < F; ++f)
      if (const int32_t id = ids[b * F + f]; id < 0 || id >= starts[f + 1] - starts[f]) return b * F + f;
  at::parallel_for(0, F, 1, [&](int64_t begin, int64_t end) {
    Distinct distinct(w2 ? B : 0);
    std::vector<float> vectors(w2 ? B * d : 0);
    for (int64_t f = begin; f < end; ++f) {
      const float* table = weight + starts[f] * width;
      if (!w2) {
        copy_field(table, ids + f, B, F, d, out + f * d);
        continue;
      }
      distinct.find(ids + f, B, F);
      with_dim(d, [&](auto D) {
        lookup_field<D>(table, w2 + f * width * D, distinct, B, F, width, vectors.data(), out + f * D);
      });
    }
  });
  return -1;
}

// One step of the rows, from grad (B, F, d), and the gradient of w2, (F, k, d), unless grad_w2 is null: by SGD, or by
// Adagrad where squares, shaped as weight, is not null.
void lookup_step(float* weight, float* squares, const float* w2, const int32_t* ids, const int64_t* starts,
                 const float* grad, int64_t B, int64_t F, int64_t width, int64_t d, float lr, float eps,
                 float* grad_w2) {
  const bool merges = w2 || squares;
  at::parallel_for(0, F, 1, [&](int64_t begin, int64_t end) {
    Distinct distinct(merges ? B : 0);
    std::vector<float> sums(merges ? B * d : 0), transposed(w2 ? (d + 1) * width : 0);
    for (int64_t f = begin; f < end; ++f) {
      float* table = weight + starts[f] * width;
      const Update update{lr, eps, squares ? squares + starts[f] * width : nullptr};
      if (!merges) {
        add_field(table, ids + f, grad + f * d, B, F, d, lr);
        continue;
      }
      distinct.find(ids + f, B, F);
      if (!w2) {
        adagrad_field(table, update, distinct, grad + f * d, B, F, d, sums.data());
        continue;
      }
      with_dim(d, [&](auto D) {
        const int64_t at = f * width * D;
        update_field<D>(table, update, w2 + at, distinct, grad + f * D, B, F, width, sums.data(), transposed.data(),
                        grad_w2 ? grad_w2 + at : nullptr);
      });
    }
  });
}

// out (B, d + V(V-1)/2) of bottom (B, d) and vectors (B, V-1, d).
void interact(const float* bottom, const float* vectors, int64_t B, int64_t V, int64_t d, float* out) {
  const int64_t width = d + V * (V - 1) / 2, P = (V + LANES - 1) / LANES * LANES;
  at::parallel_for(0, B, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> columns(d * P);
    for (int64_t b = begin; b < end; ++b)
      interact_row(bottom + b * d, vectors + b * (V - 1) * d, V, d, P, columns.data(), out + b * width);
  });
}

// Gradients of bottom and vectors, shaped as they, from grad, shaped as out.
void interact_back(const float* bottom, const float* vectors, const float* grad, int64_t B, int64_t V, int64_t d,
                   float* grad_bottom, float* grad_vectors) {
  const int64_t width = d + V * (V - 1) / 2, size = (V - 1) * d;
  at::parallel_for(0, B, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> symmetric((V + BLOCK) * V);
    for (int64_t b = begin; b < end; ++b)
      with_dim(d, [&](auto D) {
        interact_back_row<D>(bottom + b * d, vectors + b * size, grad + b * width, V, symmetric.data(),
                             grad_bottom + b * d, grad_vectors + b * size);
      });
  });
}

}  // extern "C"
