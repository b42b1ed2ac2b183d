// SPDX-License-Identifier: MIT
// libFuzzer target: a fatbinary, whatever is in its entries. A driver is not told how long an image
// is and believes the header, so the header says the truth here. PTX text passes as it is.
#include "runtime/drop_in/driver.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t start[8] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    uint64_t rest = size - 16;
    char *image = malloc(size + 1), *text;
    const char *complaint;

    if (!image) return 0;
    memcpy(image, data, size);
    image[size] = '\0';
    if (size >= 16 && data[0] == start[0]) {
        memcpy(image, start, sizeof start);
        memcpy(image + 8, &rest, sizeof rest);
    }
    // A wrapper holds an address of this process.
    if (strncmp(image, "\xb1\x43\x62\x46", 4) != 0 && (size >= 16 || image[0] != 'P')) {
        driver_image_text(image, 90, &text, &complaint);
        free(text);
    }
    free(image);
    return 0;
}
