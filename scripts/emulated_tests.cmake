# Tests of the emulated device, and of the kernels on it: plumb_emulated_tests, and the same with
# AddressSanitizer and UBSan (plumb_emulated_asan) and ThreadSanitizer (plumb_emulated_race) on
# kernels and device. They share the library, which knows of neither. Built by name.

file(GLOB emulated_tests CONFIGURE_DEPENDS tests/emulated/*.cpp tests/device/*.cpp
     tests/gpu/*_checks.cu)
list(APPEND emulated_tests tests/gpu/primitives.cu tests/gpu/report.cpp
     tests/gpu/walk_reference.cpp tests/gpu/ops_reference.cpp)
set(cu_files ${emulated_tests})
list(FILTER cu_files INCLUDE REGEX "[.]cu$")
set_source_files_properties(${cu_files} PROPERTIES LANGUAGE CXX)
set(at_once ${emulated_tests})
list(FILTER at_once INCLUDE REGEX "_(test[.]cpp|checks[.]cu)$")

# The library with its kernels on `device`; what is the same on all devices is compiled once.
function(plumb_emulated_library name device) # OPTION... of the compiler
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${device_sources} ${everywhere})
    plumb_compiles_sources(${name})
    plumb_on_emulated_device(${name} ${device})
    target_compile_options(${name} PRIVATE ${ARGN})
endfunction()
function(plumb_emulated_tests name device) # OPTION... of the compiler
    plumb_emulated_library(${name}_library ${device} ${ARGN})
    add_executable(${name} EXCLUDE_FROM_ALL ${emulated_tests} $<TARGET_OBJECTS:plumb_tests_main>)
    target_include_directories(${name} PRIVATE tests)
    target_compile_options(${name} PRIVATE ${emulated_kernels} -gdwarf-4 ${ARGN})
    plumb_folders_at_once(${name} ${at_once})
    target_link_options(${name} PRIVATE ${ARGN})
    target_link_libraries(${name} PRIVATE ${name}_library Catch2::Catch2)
endfunction()
plumb_emulated_tests(plumb_emulated_tests plumb_emulated)
# `plumb` with the emulated device, for tests that start it.
add_executable(plumb_on_emulated EXCLUDE_FROM_ALL $<TARGET_OBJECTS:plumb_main>)
target_link_libraries(plumb_on_emulated PRIVATE plumb_emulated_tests_library)
add_dependencies(plumb_emulated_tests plumb_on_emulated)
set_source_files_properties(tests/device/program_path.cpp PROPERTIES
    COMPILE_DEFINITIONS PLUMB_DEVICE_BINARY="$<TARGET_FILE:plumb_on_emulated>")
set(sanitize -fsanitize=address,undefined -fno-sanitize=null,object-size,vptr
    -fno-sanitize-recover=all)
plumb_emulated_device(plumb_emulated_asan_device ${sanitize})
plumb_emulated_tests(plumb_emulated_asan plumb_emulated_asan_device ${sanitize})
plumb_emulated_device(plumb_emulated_race_device -DEMULATED_RACES)
plumb_emulated_tests(plumb_emulated_race plumb_emulated_race_device -fsanitize=thread)

# What fused passes move: the kernels of the memories, compiled so that every access to memory is a
# call, which tests/traffic counts (the rest of the program is not).
file(GLOB memory_kernels CONFIGURE_DEPENDS src/mixers/memories/*.cu)
add_library(plumb_counted_kernels OBJECT EXCLUDE_FROM_ALL ${memory_kernels})
plumb_compiles_sources(plumb_counted_kernels)
target_compile_definitions(plumb_counted_kernels PRIVATE PLUMB_HAVE_CUDA)
target_include_directories(plumb_counted_kernels BEFORE PRIVATE src/emulated/include)
target_compile_options(plumb_counted_kernels PRIVATE -fsanitize=thread)
file(GLOB traffic_tests CONFIGURE_DEPENDS tests/traffic/*.cpp)
add_executable(plumb_emulated_traffic EXCLUDE_FROM_ALL ${traffic_tests}
    $<TARGET_OBJECTS:plumb_counted_kernels> $<TARGET_OBJECTS:plumb_tests_main>)
target_include_directories(plumb_emulated_traffic PRIVATE tests)
target_link_libraries(plumb_emulated_traffic PRIVATE plumb_emulated_tests_library Catch2::Catch2)
