package validate_test

import (
	"bytes"
	"image/png"
	"testing"

	"dmasim/sim/validate"
)

func TestText(t *testing.T) {
	model := validate.Bitmap{0x0000ffff, 0xf, 0, 0}
	kernel := validate.Bitmap{0x0000ffff, 0x1f, 0, 0}
	const want = "" +
		"model   ####....\nkernel  ####....\n" +
		"model   #.......\nkernel  #+......\n         ^\n" +
		"model   ........\nkernel  ........\n" +
		"model   ........\nkernel  ........\n"
	if got := validate.Text(model, kernel, 8); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := validate.Text(nil, nil, 8); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestWritePNG(t *testing.T) {
	for _, b := range []validate.Bitmap{nil, {1}, make(validate.Bitmap, 5000)} {
		var file bytes.Buffer
		if err := validate.WritePNG(&file, b, validate.Bitmap{3}); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(&file)
		if err != nil || img.Bounds().Dx() < 9 {
			t.Errorf("%d words: %v", len(b), err)
		}
	}
}
