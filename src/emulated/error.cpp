#include "emulated/error.h"

#include "emulated/device.h"

#include <utility>

namespace emulated {
namespace {

std::string first;

}  // namespace

cudaError_t report(cudaError_t e, const std::string& what) {
    if (first.empty()) first = what;
    return e;
}
bool failed() { return !first.empty(); }
std::string take_error() { return std::exchange(first, {}); }

std::string file_and_line(Site at) {
    const std::string file = at.file_name();
    return file.substr(file.rfind('/') + 1) + ":" + std::to_string(at.line());
}

}  // namespace emulated

const char* cudaGetErrorString(cudaError_t e) {
    switch (e) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidConfiguration:
            return "invalid configuration argument";
        case cudaErrorInvalidDevicePointer:
            return "invalid device pointer";
        case cudaErrorInsufficientDriver:
            return "CUDA driver version is insufficient for CUDA runtime version";
        case cudaErrorNoDevice:
            return "no CUDA-capable device is detected";
        case cudaErrorInvalidResourceHandle:
            return "invalid resource handle";
        case cudaErrorNotReady:
            return "device not ready";
        case cudaErrorLaunchFailure:
            return "unspecified launch failure";
        case cudaErrorStreamCaptureUnsupported:
            return "not permitted while a stream is captured";
        case cudaErrorStreamCaptureInvalidated:
            return "an earlier call has ended the capture";
        case cudaErrorStreamCaptureUnmatched:
            return "the capture was not begun in this stream";
        case cudaErrorStreamCaptureUnjoined:
            return "the capture has streams that were not joined";
        case cudaErrorStreamCaptureIsolation:
            return "a dependency crosses the edge of the capture";
        case cudaErrorGraphExecUpdateFailure:
            return "the graph has other nodes or edges than the one it replaces";
    }
    return "unknown error";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }  // what fails stays (take_error)
