// Initial values of tables: Philox4x32-10 of (seed, stream, row, column), as mlet_bench/embeddings/draw.py defines
// them, to the bit: the same operations in the same order, none of them fused (-ffp-contract=off). No value depends on
// another, so neither threads nor tiles change any.

#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace {

constexpr int TILE = 32;            // rows drawn together, so that the rounds run in whole vectors whatever the width
constexpr int64_t GRAIN = 1 << 14;  // values that are worth a thread

// Salmon et al. 2011, for the TILE counters in words, in place.
void philox(uint32_t (&words)[4][TILE], uint64_t seed) {
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < TILE; ++i) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * words[0][i], p1 = uint64_t(0xCD9E8D57u) * words[2][i];
      words[0][i] = uint32_t(p1 >> 32) ^ words[1][i] ^ k0;
      words[1][i] = uint32_t(p1);
      words[2][i] = uint32_t(p0 >> 32) ^ words[3][i] ^ k1;
      words[3][i] = uint32_t(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

template <class T>
struct Uniform {
  T scale;
  T operator()(uint32_t word) const { return T(int32_t(word >> 7 | 1) - (1 << 24)) * scale; }
};

// The quantile of (word + 1/2) / 2^32; the two regions of AS 241 are both computed, so that no branch ends a vector.
template <class T>
struct Normal {
  double scale;

  T operator()(uint32_t word) const {
    const double q = double(int64_t(word) * 2 + 1 - (int64_t(1) << 32)) * 0x1p-33, size = q < 0 ? -q : q;
    const double c = 0.180625 - q * q;
    const double top = ((59.109374720 * c + 159.29113202) * c + 50.434271938) * c + 3.3871327179;
    const double center = q * top / (((67.187563600 * c + 78.757757664) * c + 17.895169469) * c + 1.0);
    const double r = root(minus_log(0.5 - size)) - 1.6;
    const double far = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
                       ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    return T((size <= 0.425 ? center : q < 0 ? -far : far) * scale);
  }

  static double minus_log(double p) {
    constexpr double HALF = 0.70710678118654757;  // 0.5 ** 0.5
    const uint64_t bits = std::bit_cast<uint64_t>(p);
    const double exponent = int32_t(bits >> 52) - 1022;
    const double mantissa = std::bit_cast<double>((bits & ((uint64_t(1) << 52) - 1)) | uint64_t(1022) << 52);
    const double s = (mantissa - HALF) / (mantissa + HALF), t = s * s;
    const double series = (((((2.0 / 13 * t + 2.0 / 11) * t + 2.0 / 9) * t + 2.0 / 7) * t + 2.0 / 5) * t + 2.0 / 3) * t;
    return (0.5 - exponent) * 0.6931471805599453 - s * (series + 2.0);
  }

  static double root(double x) {
    double value = 3.0;
    for (int step = 0; step < 5; ++step) value = (value + x / value) * 0.5;
    return value;
  }
};

// Columns 4 group ... 4 group + 3 of the rows row ... row + TILE - 1.
template <class T, class Law>
void draw(uint64_t row, uint32_t group, uint64_t seed, uint32_t stream, const Law& law, T (&values)[TILE][4]) {
  uint32_t words[4][TILE];
  for (int i = 0; i < TILE; ++i) {
    words[0][i] = uint32_t(row + i);
    words[1][i] = uint32_t((row + i) >> 32);
    words[2][i] = group;
    words[3][i] = stream;
  }
  philox(words, seed);
  T columns[4][TILE];
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < TILE; ++i) columns[j][i] = law(words[j][i]);
  for (int i = 0; i < TILE; ++i)
    for (int j = 0; j < 4; ++j) values[i][j] = columns[j][i];
}

template <class T, class Law>
void fill(T* out, int64_t rows, int64_t width, int64_t stride, uint64_t seed, uint32_t stream, const Law& law,
          int64_t first_row) {
  const int64_t tiles = (rows + TILE - 1) / TILE;
  at::parallel_for(0, tiles, std::max<int64_t>(1, GRAIN / (TILE * width)), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t row = tile * TILE, height = std::min<int64_t>(TILE, rows - row);
      for (int64_t column = 0; column < width; column += 4) {
        T values[TILE][4];
        draw(uint64_t(first_row + row), uint32_t(column / 4), seed, stream, law, values);
        T* to = out + row * stride + column;
        if (column + 4 <= width)
          for (int64_t i = 0; i < height; ++i) std::copy(values[i], values[i] + 4, to + i * stride);
        else
          for (int64_t i = 0; i < height; ++i) std::copy(values[i], values[i] + (width - column), to + i * stride);
      }
    }
  });
}

}  // namespace

// out (rows, width), its rows ``stride`` values apart.
#define DRAW(law, Law, T)                                                                                        \
  extern "C" void law##_##T(T* out, int64_t rows, int64_t width, int64_t stride, uint64_t seed, uint32_t stream, \
                            double scale, int64_t first_row) {                                                   \
    fill(out, rows, width, stride, seed, stream, Law<T>{decltype(Law<T>::scale)(scale)}, first_row);             \
  }

DRAW(uniform, Uniform, float)
DRAW(uniform, Uniform, double)
DRAW(normal, Normal, float)
DRAW(normal, Normal, double)
