# Tests of the emulated device, and of the kernels on it: plumb_emulated_tests, and the same with
# AddressSanitizer and UBSan (plumb_emulated_asan) and ThreadSanitizer (plumb_emulated_race) on
# kernels and device. They share the library, which knows of neither. Built by name.

file(GLOB emulated_tests CONFIGURE_DEPENDS tests/emulated/*.cpp tests/gpu/*_checks.cu)
list(APPEND emulated_tests tests/gpu/primitives.cu tests/gpu/report.cpp
     tests/gpu/walk_reference.cpp tests/gpu/ops_reference.cpp)
set(cu_files ${emulated_tests})
list(FILTER cu_files INCLUDE REGEX "[.]cu$")
set_source_files_properties(${cu_files} PROPERTIES LANGUAGE CXX
    COMPILE_OPTIONS "${emulated_kernels}")
add_library(plumb_emulated_main OBJECT EXCLUDE_FROM_ALL tests/main.cpp)
target_link_libraries(plumb_emulated_main PRIVATE plumb_flags Catch2::Catch2)

function(plumb_emulated_tests name device) # OPTION... of the compiler
    add_executable(${name} EXCLUDE_FROM_ALL ${emulated_tests} $<TARGET_OBJECTS:plumb_emulated_main>)
    target_include_directories(${name} PRIVATE tests)
    target_compile_options(${name} PRIVATE -O1 -g1 -gdwarf-4 -Wno-unknown-pragmas ${ARGN})
    target_link_options(${name} PRIVATE ${ARGN})
    target_link_libraries(${name} PRIVATE ${device} plumblib Catch2::Catch2)
endfunction()
plumb_emulated_tests(plumb_emulated_tests plumb_emulated)
set(sanitize -fsanitize=address,undefined -fno-sanitize=null,object-size,vptr
    -fno-sanitize-recover=all)
plumb_emulated_device(plumb_emulated_asan_device ${sanitize})
plumb_emulated_tests(plumb_emulated_asan plumb_emulated_asan_device ${sanitize})
plumb_emulated_device(plumb_emulated_race_device -DEMULATED_RACES)
plumb_emulated_tests(plumb_emulated_race plumb_emulated_race_device -fsanitize=thread)
