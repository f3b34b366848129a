#include "formats/tfevents.h"

#include "catch.h"
#include "core/check.h"
#include "support/temp_folder.h"

#include <cstring>

using namespace plumb;

namespace {

std::string hex(std::string_view bytes) {
    std::string out;
    for (const char b : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(b));
    return out;
}

// The records of a file; throws where the framing is wrong.
std::vector<std::string> records(const std::string& file) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at < file.size();) {
        std::uint64_t n = 0;
        std::memcpy(&n, &file.at(at), sizeof n);
        const std::string body = file.substr(at + 12, n);
        if (file.substr(at, 16 + n) != tf_record(body)) throw std::runtime_error("bad record");
        out.push_back(body);
        at += 16 + n;
    }
    return out;
}

}  // namespace

TEST_CASE("CRC-32C has its published values", "[formats]") {
    // RFC 3720, B.4.
    CHECK(crc32c("") == 0);
    CHECK(crc32c("123456789") == 0xe3069283u);
    CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
    CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
    std::string rising;
    for (char c = 0; c < 32; ++c) rising += c;
    CHECK(crc32c(rising) == 0x46dd794eu);
}

// The expected bytes are what the Python package tensorboard 2.21 writes.
TEST_CASE("records and events are TensorBoard's bytes", "[formats]") {
    CHECK(hex(tf_record("plumb")) == "0500000000000000eab2043e706c756d62f25e0ede");
    CHECK(hex(version_event(1.5)) == "09000000000000f83f1a0d627261696e2e4576656e743a32");
    CHECK(hex(session_start_event(1.5, 300)) == "09000000000000f83f10ac023a020801");
    CHECK(hex(scalar_event(1.5, 300, "val/loss", 0.25f)) ==
          "09000000000000f83f10ac022a110a0f0a0876616c2f6c6f7373150000803e");
    const EventHistogram h{-1, 2, 3, 1.5, 5.25, {0, 2}, {1, 2}};
    CHECK(hex(histogram_event(1.5, 7, "g", h)) ==
          "09000000000000f83f10072a580a560a01672a5109000000000000f0bf110000000000000040190000000000"
          "00084021000000000000f83f2900000000000015403210000000000000000000000000000000403a10000000"
          "000000f03f0000000000000040");
    CHECK_THROWS_AS(histogram_event(1.5, 7, "g", EventHistogram{}), InternalError);
    // metadata {plugin_data {plugin_name: "scalars"} summary_description: "loss"}
    CHECK(hex(scalar_event(1.5, 300, "val/loss", 0.25f, "loss")) ==
          "09000000000000f83f10ac022a240a220a0876616c2f6c6f7373150000803e4a110a090a077363616c61727"
          "31a046c6f7373");
}

TEST_CASE("an event file holds its version and then whole records", "[formats]") {
    TempFolder folder;
    std::filesystem::path path;
    {
        EventFile file(folder.path());
        path = file.path();
        CHECK(path.filename().string().starts_with("events.out.tfevents."));
        CHECK(records(read_file(path)).size() == 1);
        file.scalar(3, "loss", 2.5, "nats");
        CHECK(records(read_file(path)).size() == 1);
        file.flush();
        CHECK(records(read_file(path)).size() == 2);
        file.histogram(3, "grad", {0, 1, 2, 1, 1, {0.5, 1}, {1, 1}});
        file.scalar(4, "loss", 2.5, "nats");
    }
    const auto all = records(read_file(path));
    REQUIRE(all.size() == 4);
    CHECK(all[0].ends_with("brain.Event:2"));
    // After the 9 bytes of the time, which is now.
    CHECK(all[1].substr(9) == scalar_event(0, 3, "loss", 2.5f, "nats").substr(9));
    // What a tag means is said once.
    CHECK(all[3].substr(9) == scalar_event(0, 4, "loss", 2.5f).substr(9));
    double time = 0;
    std::memcpy(&time, all[1].data() + 1, sizeof time);
    CHECK(time > 1.7e9);
    CHECK_THROWS_AS(EventFile(folder / "none"), IoError);
}
