// NumPy's archive of named arrays, numpy.load("x.npz"): a zip of .npy files, stored as they are.
#pragma once

#include "formats/safetensors.h"

#include <filesystem>
#include <span>

namespace plumb {

// Writes atomically (core/files.h). Types F64, F32, I64 and I32. Throws IoError if the disk
// refuses, and for more than 4 GiB, which this form of zip cannot hold; InternalError for another
// type.
void write_npz(const std::filesystem::path& path, std::span<const TensorRef> arrays);

}  // namespace plumb
