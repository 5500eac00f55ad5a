// Vectors of floats, for the files beside this one.
#pragma once

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;  // floats a vector
#else
constexpr int LANES = 8;
#endif

// N floats that the compiler keeps in vector registers; they may lie at any address.
template <int N>
struct Floats {
  typedef float type __attribute__((vector_size(4 * N), aligned(4), may_alias));
};
template <int N>
using Vec = typename Floats<N>::type;

template <int N>
Vec<N> load(const float* from) {
  return *reinterpret_cast<const Vec<N>*>(from);
}

template <int N>
void store(float* to, Vec<N> values) {
  *reinterpret_cast<Vec<N>*>(to) = values;
}

}  // namespace
