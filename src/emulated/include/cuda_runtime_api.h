// As CUDA's: what the host calls.
#pragma once

#include "emulated/include/cuda_runtime.h"
