"""An interpreter of PTX, what nvcc makes of a kernel, with numpy: a second opinion beside the C++
build of the same kernels (src/emulated).

    assembly      text -> instructions         memory        bytes, and who may touch them
    operations    one instruction, all threads machine       threads of a grid, step by step
    nvcc          compiles kernels.cu          arguments     arrays and structs as kernels take them
    case          what tests of kernels share  program       programs of scalars
    attention     its equations, and kernels
"""
