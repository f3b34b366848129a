#include "ops/matmul.cuh"

#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "core/launch.h"

#include <cublasLt.h>

#include <compare>
#include <map>
#include <memory>

namespace plumb {
namespace gpu {
namespace {

#ifdef PLUMB_EMULATED_CUDA
constexpr std::size_t kWorkspace = std::size_t(1) << 16;  // each of its pages costs at every wait
#else
constexpr std::size_t kWorkspace = std::size_t(32) << 20;
#endif
constexpr std::uint32_t kAlignment = 16;

void check(cublasStatus_t s, const char* call) {
    if (s == CUBLAS_STATUS_SUCCESS) return;
    std::string text = fmt::format("{}: {}", call, cublasLtGetStatusString(s));
#ifdef PLUMB_EMULATED_CUDA
    text += "; " + emulated::take_error();
#endif
    throw CudaError(text);
}

// ---- one kind of product ------------------------------------------------------------------------

struct Types {
    cudaDataType_t in, out, scale;
    cublasComputeType_t compute;
    auto operator<=>(const Types&) const = default;
};
struct Kind {
    Types types;
    Product product;
    auto operator<=>(const Kind&) const = default;
};

template <class T>
constexpr cudaDataType_t type_of = std::is_same_v<T, double>  ? CUDA_R_64F
                                   : std::is_same_v<T, float> ? CUDA_R_32F
                                                              : CUDA_R_16BF;

bool allows_tf32() {
    static const bool allows = [] {
        const char* text = std::getenv("PLUMB_TF32");
        return text && std::string(text) == "1";
    }();
    return allows;
}

template <class In, class Out>
Types types_of() {
    using Real = RealOf<In>;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    if (std::is_same_v<Real, double>) compute = CUBLAS_COMPUTE_64F;
    if (std::is_same_v<In, float> && allows_tf32()) compute = CUBLAS_COMPUTE_32F_FAST_TF32;
    return {type_of<In>, type_of<Out>, type_of<Real>, compute};
}

const char* name_of(cudaDataType_t type) {
    return type == CUDA_R_64F ? "double" : type == CUDA_R_32F ? "float" : "bf16";
}
std::string text_of(const Kind& kind) {
    const Product& p = kind.product;
    return fmt::format("{} x {} -> {}, op {}{}, m={} n={} k={}, ld {} {} {}",
                       name_of(kind.types.in), name_of(kind.types.in), name_of(kind.types.out),
                       static_cast<char>(p.op_a), static_cast<char>(p.op_b), p.m, p.n, p.k, p.lda,
                       p.ldb, p.ldc);
}

template <auto destroy>
struct Destroy {
    template <class T>
    void operator()(T* p) const {
        (void)destroy(p);
    }
};
using Operation = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>,
                                  Destroy<cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>,
                               Destroy<cublasLtMatrixLayoutDestroy>>;

// What the library is told of it, and what it chose.
struct Description {
    Operation operation;
    Layout a, b, c;  // as ours are called
    cublasLtMatmulAlgo_t algorithm{};
};

// ---- the library --------------------------------------------------------------------------------

cublasLtHandle_t handle() {
    static const cublasLtHandle_t all = [] {
        cublasLtHandle_t made = nullptr;
        check(cublasLtCreate(&made), "cublasLtCreate");
        return made;
    }();
    return all;
}
// Products of a stream follow one another, so they share it.
void* workspace() {
    static std::map<cudaStream_t, void*> all;
    void*& of_stream = all[stream()];
    if (!of_stream) of_stream = allocate(kWorkspace);
    return of_stream;
}

// A row-major matrix of `rows` rows, as the library sees it: transposed.
Layout layout(cudaDataType_t type, Index rows, Index cols, Index ld) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(cols),
                                     static_cast<std::uint64_t>(rows), ld),
          "cublasLtMatrixLayoutCreate");
    return Layout(made);
}

template <class T>
void set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t what, T value) {
    check(cublasLtMatmulPreferenceSetAttribute(p, what, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
}

cublasLtMatmulPreference_t preference() {
    static const cublasLtMatmulPreference_t all = [] {
        cublasLtMatmulPreference_t p = nullptr;
        check(cublasLtMatmulPreferenceCreate(&p), "cublasLtMatmulPreferenceCreate");
        set(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kWorkspace});
        set(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});  // beside those that cut no sum
        for (const auto alignment : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                     CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                     CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                     CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
            set(p, alignment, kAlignment);
        return p;
    }();
    return all;
}

void set_op(const Operation& operation, cublasLtMatmulDescAttributes_t what, Op op) {
    const cublasOperation_t value = op == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T;
    check(cublasLtMatmulDescSetAttribute(operation.get(), what, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
}

Operation operation(const Kind& kind) {
    cublasLtMatmulDesc_t made = nullptr;
    check(cublasLtMatmulDescCreate(&made, kind.types.compute, kind.types.scale),
          "cublasLtMatmulDescCreate");
    Operation o(made);
    set_op(o, CUBLASLT_MATMUL_DESC_TRANSA, kind.product.op_b);
    set_op(o, CUBLASLT_MATMUL_DESC_TRANSB, kind.product.op_a);
    return o;
}

Description describe(const Kind& kind) {
    const Product& p = kind.product;
    const bool ta = p.op_a == Op::transpose, tb = p.op_b == Op::transpose;
    Description d;
    d.operation = operation(kind);
    d.a = layout(kind.types.in, ta ? p.k : p.m, ta ? p.m : p.k, p.lda);
    d.b = layout(kind.types.in, tb ? p.n : p.k, tb ? p.k : p.n, p.ldb);
    d.c = layout(kind.types.out, p.m, p.n, p.ldc);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t s =
        cublasLtMatmulAlgoGetHeuristic(handle(), d.operation.get(), d.b.get(), d.a.get(), d.c.get(),
                                       d.c.get(), preference(), 1, &best, &found);
    if (s == CUBLAS_STATUS_NOT_SUPPORTED || (s == CUBLAS_STATUS_SUCCESS && found == 0))
        throw UsageError(
            fmt::format("cuBLASLt has no algorithm for {} on this GPU; --device cpu computes it",
                        text_of(kind)));
    check(s, "cublasLtMatmulAlgoGetHeuristic");
    d.algorithm = best.algo;
    return d;
}

const Description& description(const Kind& kind) {
    static auto& all = *new std::map<Kind, Description>;  // outlives the library
    const auto it = all.find(kind);
    return it != all.end() ? it->second : all.emplace(kind, describe(kind)).first->second;
}

bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % kAlignment == 0; }

}  // namespace

template <class In, class Out>
void product(const Product& p, RealOf<In> alpha, const In* a, const In* b, RealOf<In> beta,
             Out* c) {
    if (p.m == 0 || p.n == 0 || (p.k == 0 && beta == 1)) return;
    const Kind kind{types_of<In, Out>(), p};
    require(p.k > 0 && is_aligned(a) && is_aligned(b) && is_aligned(c), [&] {
        return "a product on the GPU of no terms, or of pointers not aligned to 16 bytes: " +
               text_of(kind);
    });
    const Description& d = description(kind);
    check(cublasLtMatmul(handle(), d.operation.get(), &alpha, b, d.b.get(), a, d.a.get(), &beta, c,
                         d.c.get(), c, d.c.get(), &d.algorithm, workspace(), kWorkspace, stream()),
          "cublasLtMatmul");
}

template void product(const Product&, float, const float*, const float*, float, float*);
template void product(const Product&, double, const double*, const double*, double, double*);
template void product(const Product&, float, const Bf16*, const Bf16*, float, Bf16*);
template void product(const Product&, float, const Bf16*, const Bf16*, float, float*);

}  // namespace gpu

template <class Real>
void gemm(Cuda, const Context&, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc) {
    gpu::product({op_a, op_b, m, n, k, lda, ldb, ldc}, alpha, a, b, beta, c);
}

template void gemm(Cuda, const Context&, Op, Op, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Cuda, const Context&, Op, Op, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);

}  // namespace plumb
