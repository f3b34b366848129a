#include "core/device_memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace plumb {

void DeviceFree::operator()(std::byte* p) const { std::free(p); }

DeviceMemory allocate_on(Device device, std::size_t bytes) {
    require(device == Device::cpu, "this build allocates on the CPU only");
    const std::size_t whole = (bytes + kDeviceAlign) / kDeviceAlign * kDeviceAlign;
    DeviceMemory memory(static_cast<std::byte*>(std::aligned_alloc(kDeviceAlign, whole)));
    if (!memory) throw std::bad_alloc();
    std::memset(memory.get(), 0, bytes);
    return memory;
}

}  // namespace plumb
