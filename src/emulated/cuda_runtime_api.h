// As CUDA's: what the host calls.
#pragma once

#include "emulated/cuda_runtime.h"
