// cuBLASLt on the emulated device (include/cublasLt.h): descriptions, what is refused of them, and
// the product itself by plain loops. A product is work of its stream; what it computes:
//
//     sums over k in ascending order, in float, of double in double; FAST_TF32 rounds the operands
//     to 10 bits first; where the partial sums of D's type are allowed, half of a sum is rounded to
//     it; another product that takes the workspace meanwhile is an error; it is left NaN as far as
//     D would fill it
//
// Matrices are read and written by memcpy, a column at a time, which the sanitizers see.
#include "emulated/error.h"
#include "emulated/memory.h"
#include "emulated/streams.h"

#include <cublasLt.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace emulated {
namespace {

struct Bf16 {
    std::uint16_t bits = 0;

    Bf16() = default;
    explicit Bf16(float x) {  // to nearest even; a NaN stays one
        const auto u = std::bit_cast<std::uint32_t>(x);
        bits = static_cast<std::uint16_t>(x == x ? (u + 0x7fffu + (u >> 16 & 1u)) >> 16 : 0x7fffu);
    }
    operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

// What the opaque structs are.
struct Operation {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    std::int32_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;  // as they were given: maybe no operation
};
struct Matrix {  // column-major
    cudaDataType_t type;
    std::int64_t rows, cols, ld;

    std::size_t item() const { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }
    std::size_t bytes() const { return static_cast<std::size_t>((cols - 1) * ld + rows) * item(); }
    std::string text() const {
        const char* name = type == CUDA_R_64F ? "double" : type == CUDA_R_32F ? "float" : "bf16";
        return std::string(name) + " (" + std::to_string(rows) + ", " + std::to_string(cols) +
               "), ld " + std::to_string(ld);
    }
};
struct Preference {
    std::uint64_t workspace = 0;
    std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
    std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};
// What an algorithm was chosen for.
struct Algorithm {
    std::uint64_t product;  // a hash of it
    std::uint64_t workspace;
    std::uint32_t alignment[4];
    std::uint32_t rounds_partial_sums, unused;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

const Operation& of(cublasLtMatmulDesc_t d) { return *reinterpret_cast<const Operation*>(d); }
const Matrix& of(cublasLtMatrixLayout_t m) { return *reinterpret_cast<const Matrix*>(m); }

cublasStatus_t refuse(const std::string& why) {
    report(cudaErrorInvalidValue, "cuBLASLt: " + why);
    return CUBLAS_STATUS_INVALID_VALUE;
}
template <class T>
cublasStatus_t set(T& to, const void* value, std::size_t bytes) {
    if (!value || bytes != sizeof(T)) return refuse("an attribute of another size");
    std::memcpy(&to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

// ---- what is refused ----------------------------------------------------------------------------

struct Product {
    Operation op;
    Matrix a, b, c, d;

    std::int64_t m() const { return op.a == CUBLAS_OP_N ? a.rows : a.cols; }
    std::int64_t k() const { return op.a == CUBLAS_OP_N ? a.cols : a.rows; }
    std::int64_t n() const { return op.b == CUBLAS_OP_N ? b.cols : b.rows; }
    std::uint64_t hash() const {
        std::uint64_t h = 1469598103934665603u;
        const auto take = [&h](std::int64_t x) {
            h = (h ^ static_cast<std::uint64_t>(x)) * 1099511628211u;
        };
        take(op.compute), take(op.scale), take(op.a), take(op.b);
        for (const Matrix* x : {&a, &b, &c, &d}) {
            take(x->type), take(x->rows), take(x->cols), take(x->ld);
        }
        return h;
    }
};

bool is_supported(const Product& p) {
    if (p.a.type != p.b.type || p.c.type != p.d.type) return false;
    const bool wide = p.a.type == CUDA_R_64F;
    if (wide || p.op.compute == CUBLAS_COMPUTE_64F)
        return wide && p.d.type == CUDA_R_64F && p.op.scale == CUDA_R_64F &&
               p.op.compute == CUBLAS_COMPUTE_64F;
    if (p.op.scale != CUDA_R_32F) return false;
    if (p.a.type == CUDA_R_32F) return p.d.type == CUDA_R_32F;
    return p.op.compute == CUBLAS_COMPUTE_32F && p.d.type != CUDA_R_64F;
}

cublasStatus_t check(const Product& p) {
    for (const std::int32_t op : {p.op.a, p.op.b})
        if (op != CUBLAS_OP_N && op != CUBLAS_OP_T) return refuse("an operation neither N nor T");
    for (const Matrix* x : {&p.a, &p.b, &p.c, &p.d})
        if (x->rows < 1 || x->cols < 1 || x->ld < x->rows)
            return refuse("a matrix without numbers, or ld less than its rows: " + x->text());
    const std::int64_t k = p.op.b == CUBLAS_OP_N ? p.b.rows : p.b.cols;
    if (p.k() != k || p.m() != p.d.rows || p.n() != p.d.cols || p.c.rows != p.d.rows ||
        p.c.cols != p.d.cols)
        return refuse("sizes do not fit: A " + p.a.text() + "; B " + p.b.text() + "; C " +
                      p.c.text() + "; D " + p.d.text());
    return is_supported(p) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

struct Operands {
    const void *a, *b, *c;
    void *d, *workspace;
    std::size_t workspace_bytes;
    double alpha, beta;
};

bool is_aligned(const void* p, std::size_t to) {
    return reinterpret_cast<std::uintptr_t>(p) % to == 0;
}
bool overlap(const void* p, std::size_t p_bytes, const void* q, std::size_t q_bytes) {
    const char *a = static_cast<const char*>(p), *b = static_cast<const char*>(q);
    return a < b + q_bytes && b < a + p_bytes;
}

cublasStatus_t check(const Product& p, const Operands& o, const Algorithm& algo) {
    const struct {
        char name;
        const Matrix& matrix;
        const void* data;
    } all[] = {{'A', p.a, o.a}, {'B', p.b, o.b}, {'C', p.c, o.c}, {'D', p.d, o.d}};
    for (int i = 0; i < 4; ++i) {
        const auto& [name, matrix, data] = all[i];
        if (name == 'C' && o.beta == 0) continue;  // is not read
        const std::string what = std::string(1, name) + ", " + matrix.text() + ", ";
        if (!is_allocated(data, matrix.bytes()))
            return refuse(what + "is not within device memory");
        if (!is_aligned(data, algo.alignment[i]))
            return refuse(what + "is not aligned as the algorithm was told");
        if (name == 'D' || (name == 'C' && o.c == o.d && p.c.ld == p.d.ld)) continue;
        if (overlap(data, matrix.bytes(), o.d, p.d.bytes())) return refuse(what + "overlaps D");
    }
    if (algo.workspace == 0) return CUBLAS_STATUS_SUCCESS;
    if (o.workspace_bytes < algo.workspace || !is_allocated(o.workspace, algo.workspace))
        return refuse("the workspace is not device memory of the size that was promised");
    if (!is_aligned(o.workspace, 256)) return refuse("the workspace is not aligned to 256 bytes");
    return CUBLAS_STATUS_SUCCESS;
}

// ---- the product --------------------------------------------------------------------------------

// op(x), column-major and dense.
template <class In, class Real>
std::vector<Real> read(const Matrix& x, std::int32_t op, const void* data) {
    const auto rows = static_cast<std::size_t>(x.rows), cols = static_cast<std::size_t>(x.cols);
    std::vector<In> column(rows);
    std::vector<Real> all(rows * cols);
    for (std::size_t c = 0; c < cols; ++c) {
        const auto* from = static_cast<const In*>(data) + c * static_cast<std::size_t>(x.ld);
        std::memcpy(column.data(), from, rows * sizeof(In));
        for (std::size_t r = 0; r < rows; ++r)
            all[op == CUBLAS_OP_N ? c * rows + r : r * cols + c] = static_cast<Real>(column[r]);
    }
    return all;
}

void round_to_tf32(std::vector<float>& all) {
    for (float& x : all)
        x = std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x1000u) & ~0x1fffu);
}

template <class In, class Real, class Out>
void multiply(const Product& p, const Operands& o, bool rounds_partial_sums) {
    std::vector<Real> a = read<In, Real>(p.a, p.op.a, o.a), b = read<In, Real>(p.b, p.op.b, o.b);
    if constexpr (std::is_same_v<Real, float>)
        if (p.op.compute == CUBLAS_COMPUTE_32F_FAST_TF32) round_to_tf32(a), round_to_tf32(b);
    const auto m = static_cast<std::size_t>(p.m()), k = static_cast<std::size_t>(p.k());
    const auto n = static_cast<std::size_t>(p.n());
    const Real alpha = static_cast<Real>(o.alpha), beta = static_cast<Real>(o.beta);
    std::vector<Real> sums(m);
    std::vector<Out> column(m);
    for (std::size_t j = 0; j < n; ++j) {
        std::fill(sums.begin(), sums.end(), Real(0));
        for (std::size_t q = 0; q < k; ++q) {
            const Real factor = b[j * k + q];
            const Real* from = a.data() + q * m;
            for (std::size_t i = 0; i < m; ++i) sums[i] += from[i] * factor;
            if (rounds_partial_sums && q == k / 2)
                for (Real& x : sums) x = static_cast<Real>(static_cast<Out>(x));
        }
        if (o.beta != 0) {
            const auto* from = static_cast<const Out*>(o.c) + j * static_cast<std::size_t>(p.c.ld);
            std::memcpy(column.data(), from, m * sizeof(Out));
            for (std::size_t i = 0; i < m; ++i)
                sums[i] = alpha * sums[i] + beta * static_cast<Real>(column[i]);
        } else {
            for (Real& x : sums) x *= alpha;
        }
        for (std::size_t i = 0; i < m; ++i) column[i] = static_cast<Out>(sums[i]);
        auto* to = static_cast<Out*>(o.d) + j * static_cast<std::size_t>(p.d.ld);
        std::memcpy(to, column.data(), m * sizeof(Out));
    }
    if (o.workspace) std::memset(o.workspace, 0xff, std::min(o.workspace_bytes, p.d.bytes()));
}

void run(const Product& p, const Operands& o, bool rounds_partial_sums) {
    if (p.a.type == CUDA_R_64F) return multiply<double, double, double>(p, o, rounds_partial_sums);
    if (p.a.type == CUDA_R_32F) return multiply<float, float, float>(p, o, rounds_partial_sums);
    if (p.d.type == CUDA_R_32F) return multiply<Bf16, float, float>(p, o, rounds_partial_sums);
    multiply<Bf16, float, Bf16>(p, o, rounds_partial_sums);
}

// A product begins with its number in the workspace, and finds it there when it ends.
void begin_in(const Operands& o, std::uint64_t product) {
    if (o.workspace_bytes >= sizeof product) std::memcpy(o.workspace, &product, sizeof product);
}
bool still_in(const Operands& o, std::uint64_t product) {
    std::uint64_t found = product;
    if (o.workspace_bytes >= sizeof found) std::memcpy(&found, o.workspace, sizeof found);
    return found == product;
}

double scalar(cudaDataType_t type, const void* p) {
    if (type == CUDA_R_64F) return *static_cast<const double*>(p);
    return static_cast<double>(*static_cast<const float*>(p));
}

}  // namespace
}  // namespace emulated

// ---- calls of cuBLASLt --------------------------------------------------------------------------

using namespace emulated;

const char* cublasLtGetStatusString(cublasStatus_t s) {
    switch (s) {
        case CUBLAS_STATUS_SUCCESS:
            return "success";
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "the library was not initialized";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "an unsupported value or parameter was passed to the function";
        case CUBLAS_STATUS_EXECUTION_FAILED:
            return "the function failed to launch on the GPU";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "the functionality requested is not supported";
        default:
            return "unknown status";
    }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    *handle = reinterpret_cast<cublasLtHandle_t>(new char);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete reinterpret_cast<char*>(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    *desc = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation{compute, scale});
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    delete reinterpret_cast<Operation*>(desc);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
    auto& op = *reinterpret_cast<Operation*>(desc);
    if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) return set(op.a, value, bytes);
    if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) return set(op.b, value, bytes);
    return refuse("an attribute of a product that the emulated device does not know");
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t cols, std::int64_t ld) {
    *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
        new Matrix{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(cols), ld});
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete reinterpret_cast<Matrix*>(layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete reinterpret_cast<Preference*>(preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
    auto& p = *reinterpret_cast<Preference*>(preference);
    switch (attribute) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return set(p.workspace, value, bytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return set(p.reduction, value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            return set(p.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
                       bytes);
        default:
            return refuse("a preference that the emulated device does not know");
    }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* n_found) {
    *n_found = 0;
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (n_wanted < 1) return refuse("no algorithm is wanted");
    const Product p{of(desc), of(a), of(b), of(c), of(d)};
    if (const cublasStatus_t s = check(p)) return s;
    const auto& wanted = *reinterpret_cast<const Preference*>(preference);
    Algorithm algo{p.hash(), wanted.workspace, {}, 0, 0};
    std::copy(std::begin(wanted.alignment), std::end(wanted.alignment), algo.alignment);
    algo.rounds_partial_sums = (wanted.reduction & ~CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0;
    results[0] = {{}, wanted.workspace, CUBLAS_STATUS_SUCCESS, 1.0f, {}};
    std::memcpy(&results[0].algo, &algo, sizeof algo);
    *n_found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a, const void* B,
                              cublasLtMatrixLayout_t b, const void* beta, const void* C,
                              cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* chosen, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    const Product p{of(desc), of(a), of(b), of(c), of(d)};
    if (const cublasStatus_t s = check(p)) return s;
    if (!alpha || !beta || on_device(alpha) || on_device(beta))
        return refuse("alpha and beta are numbers on the host");
    Algorithm algo{};
    if (chosen) std::memcpy(&algo, chosen, sizeof algo);
    if (algo.product != p.hash()) return refuse("no algorithm, or one of another product");
    const Operands o{A,
                     B,
                     C,
                     D,
                     workspace,
                     workspace_bytes,
                     scalar(p.op.scale, alpha),
                     scalar(p.op.scale, beta)};
    if (const cublasStatus_t s = check(p, o, algo)) return s;
    static std::uint64_t products = 0;
    const std::uint64_t number = ++products;
    cudaError_t e = enqueue(stream, [o, number] { begin_in(o, number); });
    if (!e)
        e = enqueue(stream, [p, o, number, rounds = algo.rounds_partial_sums != 0] {
            if (!still_in(o, number))
                report(cudaErrorLaunchFailure, "two products at once in one workspace");
            run(p, o, rounds);
        });
    return e ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
