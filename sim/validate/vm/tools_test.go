package vm

import (
	"errors"
	"strings"
	"testing"
)

func TestNeedSaysWhatToInstall(t *testing.T) {
	if err := need(tool{"go", "golang-go"}); err != nil {
		t.Errorf("go, which runs this test: %v", err)
	}
	err := need(tool{"no-such-emulator", "emulators"}, tool{"go", "golang-go"}, tool{"no-such-compiler", "compilers"}, tool{"/no/such/header.h", "compilers"})
	const want = "no-such-emulator, no-such-compiler, /no/such/header.h: not installed; on Debian: apt-get install --no-install-recommends compilers emulators"
	if !errors.Is(err, ErrMissing) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
